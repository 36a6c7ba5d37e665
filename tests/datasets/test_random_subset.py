"""Few-shot subsets: drawn by a seed, without replacement, as whole as the data set they come from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mmengine.config import ConfigDict
from mmengine.registry import DATASETS, init_default_scope

from davpt_seg.audit.preflight import check_dataset
from davpt_seg.errors import DataError

from ..scenes import write_camvid


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve training images."""
    return write_camvid(tmp_path_factory.mktemp("camvid"), train=12)


def config(root: Path, **options: Any) -> ConfigDict:
    """A subset of those images."""
    init_default_scope("mmseg")
    prefix = dict(img_path="images/train", seg_map_path="annotations/train")
    dataset = dict(type="BaseSegDataset", data_root=str(root), data_prefix=prefix, pipeline=[])
    return ConfigDict(type="RandomSubset", dataset=dataset, **options)


def drawn(root: Path, **options: Any) -> list[str]:
    """The file names of a subset."""
    dataset = DATASETS.build(config(root, **options))
    return [Path(dataset[i]["img_path"]).stem for i in range(len(dataset))]


def test_a_seed_draws_the_same_images_and_another_draws_others(images: Path) -> None:
    everything = drawn(images)
    assert len(everything) == 12
    first, again, other = (drawn(images, num_images=5, seed=seed) for seed in (0, 0, 1))
    assert first == again != other
    assert len(set(first)) == 5 and set(first) < set(everything)
    assert sorted(drawn(images, num_images=12)) == everything


def test_over_many_seeds_every_image_is_drawn(images: Path) -> None:
    assert {name for seed in range(20) for name in drawn(images, num_images=3, seed=seed)} == set(drawn(images))


@pytest.mark.parametrize("count", [0, -1, 13])
def test_more_or_fewer_images_than_there_are_are_refused(images: Path, count: int) -> None:
    with pytest.raises(ValueError, match=f"num_images must be 1 to 12, the data set's size, got {count}"):
        drawn(images, num_images=count)


def test_the_preflight_looks_into_wrappers(images: Path, tmp_path: Path) -> None:
    assert check_dataset(config(images, num_images=2)) == 12
    with pytest.raises(DataError, match="does not exist"):
        check_dataset(config(tmp_path / "nowhere", num_images=2))
