"""FGVC with VPT's splits, where its releases put their images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from mmengine.registry import DATASETS
from PIL import Image

from davpt_seg.datasets import FGVC_SETS, FGVCDataset
from davpt_seg.errors import DataError

from ..recognition import RELEASES, write_fgvc


def build(root: Path, dataset: str = "mine", split: str = "train", num_classes: Any = 4, **options: Any) -> FGVCDataset:
    config = dict(
        type="FGVCDataset",
        data_root=str(root),
        dataset=dataset,
        split=split,
        num_classes=num_classes,
        serialize_data=False,
    )
    return DATASETS.build({**config, **options})


@pytest.mark.parametrize("release", RELEASES)
def test_images_are_found_where_each_release_has_them(release: str, tmp_path: Path) -> None:
    """Class counts stay small here: the layouts are those of the releases, the sets are 'mine'."""
    write_fgvc(tmp_path, release, dict(train=2, val=1, test=3), num_classes=4)
    for split, count in (("train", 8), ("val", 4), ("trainval", 12), ("test", 12)):
        dataset = build(tmp_path, split=split)
        assert len(dataset) == count
        for i in range(count):
            with Image.open(dataset[i]["img_path"]) as image:
                assert image.size == (16, 16)


def test_the_folder_is_found_although_the_first_image_is_missing(tmp_path: Path) -> None:
    write_fgvc(tmp_path, "dogs", num_classes=4)
    first = Path(build(tmp_path).get_data_info(0)["img_path"])
    first.unlink()
    assert Path(build(tmp_path).get_data_info(0)["img_path"]) == first


def test_class_ids_become_the_same_labels_in_every_split(tmp_path: Path) -> None:
    write_fgvc(tmp_path, "nabirds", num_classes=4)
    ids = [295, 298, 301, 304]  # with gaps, as in the release
    lists = {name: json.loads((tmp_path / f"{name}.json").read_text()) for name in ("train", "val", "test")}
    (lacking,) = [path for path, class_id in lists["train"].items() if class_id == 295]
    del lists["train"][lacking]  # without its first class, a split numbers the others all the same
    (tmp_path / "train.json").write_text(json.dumps({path: str(i) for path, i in lists["train"].items()}))
    for split in ("train", "val", "test"):
        for item in build(tmp_path, split=split).load_data_list():
            path = str(Path(item["img_path"]).relative_to(tmp_path / "images"))
            assert item["gt_label"] == ids.index(lists[split][path])


def test_train_and_val_together_are_trainval(tmp_path: Path) -> None:
    write_fgvc(tmp_path, "cars", dict(train=3, val=2), num_classes=4)
    train, val, both = (build(tmp_path, split=split).load_data_list() for split in ("train", "val", "trainval"))
    assert both == train + val


def test_classes_have_their_release_s_names_or_numbers(tmp_path: Path) -> None:
    write_fgvc(tmp_path / "birds", "nabirds", num_classes=4)
    assert build(tmp_path / "birds").metainfo["classes"] == ("Bird 295", "Bird 298", "Bird 301", "Bird 304")
    given = build(tmp_path / "birds", metainfo=dict(classes=("a", "b", "c", "d")))
    assert given.metainfo["classes"] == ("a", "b", "c", "d")
    write_fgvc(tmp_path / "cars", "cars", num_classes=4)
    assert build(tmp_path / "cars").metainfo["classes"] == ("class 0", "class 1", "class 2", "class 3")


def test_a_whole_set_has_its_published_number_of_classes(tmp_path: Path) -> None:
    write_fgvc(tmp_path, "flowers")
    dataset = build(tmp_path, "flowers", num_classes=None)
    assert len(dataset.metainfo["classes"]) == FGVC_SETS["flowers"].num_classes == 102
    with pytest.raises(DataError, match=r"dogs has 120 classes, but the lists in .* name 102"):
        build(tmp_path, "dogs", num_classes=None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(dataset="bird", num_classes=None), r"'bird' is not known; .*Known: cub, nabirds.* needs num_classes"),
        (dict(split="train800"), r"split: 'train800' is not known; did you mean 'train'\?"),
        (dict(dataset="cub"), r"cub has 200 classes, got num_classes=4"),
        (dict(data_root="nowhere"), r"mine: folder 'nowhere' does not exist; check data_root, .*FGVC_ROOT .*fgvc\.py"),
    ],
)
def test_a_wrong_config_is_refused_before_anything_is_read(tmp_path: Path, options: Any, message: str) -> None:
    write_fgvc(tmp_path, "dogs", num_classes=4)
    with pytest.raises(DataError, match=message):
        build(tmp_path, lazy_init=True, **options)


def test_a_missing_list_names_those_that_are_there(tmp_path: Path) -> None:
    write_fgvc(tmp_path, "dogs", num_classes=4)
    (tmp_path / "val.json").unlink()
    with pytest.raises(DataError, match=r"val\.json' does not exist; that folder has test\.json, train\.json\. Check"):
        build(tmp_path, split="trainval")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"a.jpg": 1', r"train\.json is no JSON: .*delimiter.*fgvc\.py"),
        ('["a.jpg"]', r"train\.json: expected one dict of relative path to class id, got a list"),
        ('{"a.jpg": "dog"}', r"train\.json: expected an integer as the class id of 'a\.jpg', got 'dog'"),
    ],
)
def test_a_bad_list_is_refused_by_name(tmp_path: Path, content: str, message: str) -> None:
    (write_fgvc(tmp_path, "dogs", num_classes=4) / "train.json").write_text(content)
    with pytest.raises(DataError, match=message):
        build(tmp_path)


def test_images_that_are_nowhere_are_said_to_be_so(tmp_path: Path) -> None:
    write_fgvc(tmp_path, "dogs", num_classes=4)
    (tmp_path / "Images").rename(tmp_path / "photos")
    with pytest.raises(DataError, match=r"none of the 4 listed images exists, .*images/n0+1-dog_1.*Unpack"):
        build(tmp_path)
