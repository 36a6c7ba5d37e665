"""A training that is killed again and again ends as one that never was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from .kills import eventful, kill_and_compare

KILLS = 20


@pytest.mark.slow
def test_a_training_killed_at_twenty_random_moments_ends_as_an_uninterrupted_one(
    camvid: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    report = kill_and_compare(eventful(camvid, tmp_path), tmp_path, KILLS, seed=0)
    record_property("counts", f"{report.hits.total()} kills {dict(report.hits)}, {report.trainings} trainings compared")
    assert report.differences == []
    assert report.hits.total() == KILLS and report.trainings
    assert set(report.hits) == {"seconds", "iteration", "writing"}
