"""The picture of what pruning removes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib")
from matplotlib.figure import Figure

from davpt_seg.visualization.pruning import pruning_picture


def drawn(count: int, removed: list[int], segments: int = 4) -> tuple[Figure, np.ndarray, np.ndarray]:
    """A picture of prompts of which some are removed whole, and of the others the first segment."""
    importance = np.random.default_rng(0).random((count, segments))
    stays = np.ones((count, segments), dtype=bool)
    stays[:, 0] = False
    stays[removed] = False
    return pruning_picture(importance.sum(axis=1), importance, stays), importance, stays


def test_cells_and_bars_are_the_importances() -> None:
    figure, importance, _ = drawn(5, removed=[1, 3])
    heat, bars = figure.axes[:2]
    np.testing.assert_array_equal(np.asarray(heat.images[0].get_array()), importance)
    np.testing.assert_allclose([bar.get_width() for bar in bars.patches], importance.sum(axis=1))
    assert heat.get_ylim() == bars.get_ylim()  # a row's bar is beside it


def test_what_is_removed_is_crossed_out_and_nothing_else() -> None:
    figure, _, stays = drawn(5, removed=[1, 3])
    heat, bars = figure.axes[:2]
    lines = [np.asarray(segment) for segment in heat.collections[1].get_segments()]
    assert [line[0, 1] for line in lines] == [1, 3]  # through the whole row
    crosses = {(int(row), int(column)) for column, row in heat.collections[0].get_offsets()}
    assert crosses == {(0, 0), (2, 0), (4, 0)}
    grey = [bar.get_facecolor() != bars.patches[0].get_facecolor() for bar in bars.patches]
    assert grey == [False, True, False, True, False]
    assert heat.get_title().startswith(f"{stays.sum()} of 20 segments stay")
    assert bars.get_title() == "3 of 5 prompts stay"


@pytest.mark.parametrize("count", [1, 20, 100])
def test_few_and_many_prompts_are_drawn(count: int, tmp_path: Path) -> None:
    figure, *_ = drawn(count, removed=list(range(1, count, 2)), segments=16)
    figure.savefig(tmp_path / "pruning.png")
    assert (tmp_path / "pruning.png").stat().st_size > 5_000
