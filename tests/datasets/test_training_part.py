"""Training sets in two parts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS


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
