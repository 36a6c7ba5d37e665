"""Training sets in two parts."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, Optional

import numpy as np
import pytest
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS

from davpt_seg.datasets.training_part import training_part
from davpt_seg.errors import InputError

from ..coco_sets import CLASSES, coco_content, write_json


class Numbers(BaseDataset):
    """As many items as it is told, each its own number."""

    def __init__(self, count: int) -> None:
        self.count = count
        super().__init__(ann_file="")

    def load_data_list(self) -> list[dict]:
        return [dict(number=i) for i in range(self.count)]


def part(name: str, count: int, **further: int) -> list[int]:
    """The numbers of a part."""
    config = dict(type="TrainingPart", dataset=dict(type=Numbers, count=count), part=name, **further)
    return [item["number"] for item in DATASETS.build(config)]


@pytest.mark.parametrize(("count", "held_out"), [(2, 1), (9, 1), (367, 73), (4996, 999), (20210, 1000)])
def test_a_fifth_is_held_out_and_a_thousand_at_most(count: int, held_out: int) -> None:
    train, val = part("train", count), part("val", count)
    assert (len(val), len(train)) == (held_out, count - held_out)
    assert sorted(train + val) == list(range(count))
    assert train == sorted(train) and val == sorted(val)


def test_a_seed_draws_the_same_parts_whatever_else_is_drawn() -> None:
    first = part("val", 100)
    np.random.seed(5)
    assert part("val", 100) == first != part("val", 100, seed=1)
    assert first[:20] != list(range(20))


def test_wrong_arguments_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"part must be one of .*train.*val.*got 'test'"):
        part("test", 10)
    with pytest.raises(ValueError, match="at least two images, the data set has 1"):
        part("val", 1)


def test_images_without_objects_are_held_out_and_not_trained_on(tmp_path: Path) -> None:
    """Every third image has no object; the parts are those of a draw from all images, counted one by one."""
    pytest.importorskip("mmdet")
    content = coco_content([f"{number}.png" for number in range(30)])
    content["annotations"] = [each for each in content["annotations"] if each["image_id"] % 3]
    write_json(tmp_path / "train.json", content)
    dataset = dict(
        type="mmdet.CocoDataset",
        metainfo=dict(classes=CLASSES),
        data_root=str(tmp_path),
        ann_file="train.json",
        data_prefix=dict(img=""),
        pipeline=[],
    )

    def ids(part: str, filter_cfg: Optional[dict[str, Any]]) -> list[int]:
        built = DATASETS.build(
            dict(type="TrainingPart", part=part, seed=4, dataset=dict(dataset, filter_cfg=filter_cfg))
        )
        assert [pickle.loads(pickle.dumps(built))[n]["img_id"] for n in range(len(built))] == (
            [built.get_data_info(n)["img_id"] for n in range(len(built))]
        )
        return [built.get_data_info(n)["img_id"] for n in range(len(built))]

    trained, held_out = (ids(part, dict(filter_empty_gt=True)) for part in ("train", "val"))
    assert held_out == ids("val", None) and len(held_out) == 6
    empty = [number for number in range(1, 31) if not any(a["image_id"] == number for a in content["annotations"])]
    assert set(held_out) & set(empty) and not set(trained) & set(empty)
    assert trained == [number for number in range(1, 31) if number not in {*held_out, *empty}]
    assert sorted(ids("train", None) + held_out) == list(range(1, 31))
    with pytest.raises(ValueError, match=r"filter_cfg={'min_size': 500} keeps no image for training"):
        ids("train", dict(min_size=500))
    assert ids("val", dict(min_size=500)) == held_out


def test_indices_beside_a_filter_are_refused_since_they_would_choose_among_the_rest() -> None:
    dataset = dict(type="CocoDataset", filter_cfg=dict(filter_empty_gt=True), indices=10)
    with pytest.raises(InputError, match="indices would choose among the rest; for a few images, set train_images=N"):
        training_part(dataset, "train")
