"""Progress of long work, by a clock of the test's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from davpt_seg import long_work
from davpt_seg.long_work import in_parallel, reported


class Clock:
    """Stands in for the module ``time``."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(long_work, "time", found)
    return found


def test_lines_come_every_twenty_seconds_with_the_time_left(clock: Clock) -> None:
    said: list[str] = []
    seen = []
    for item in reported(range(100), 100, "masks", said.append):
        clock.now += 6  # of work
        seen.append(item)
    assert seen == list(range(100))
    assert said[:2] == ["masks: 4/100, ETA 0:09:36", "masks: 8/100, ETA 0:09:12"]
    assert len(said) == 24


def test_short_work_says_nothing_and_none_is_none(clock: Clock) -> None:
    said: list[str] = []
    assert list(reported([], 0, "masks", said.append)) == []
    assert list(reported([1, 2], 2, "masks", said.append)) == [1, 2]
    assert said == []


def test_items_are_asked_for_one_by_one(clock: Clock) -> None:
    asked = []

    def items() -> Iterator[int]:
        for n in range(3):
            asked.append(n)
            yield n

    for item in reported(items(), 3, "masks", print):
        assert asked == list(range(item + 1))


@pytest.mark.parametrize("bar", [True, False])
def test_in_a_file_files_are_reported_in_lines(bar: bool, clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    seen = []
    for result in in_parallel(abs, [-1, -2, -3, -4], 2, "headers", bar):
        clock.now += 15
        seen.append(result)
    assert seen == [1, 2, 3, 4]
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == ("headers: 2/4, ETA 0:00:30\n" if bar else "")
