"""Each mistake of a new user ends with one paragraph that says what to do, on stderr, after few lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from .mistakes import MISTAKES, MOST, MOST_STARTED, Mistake, shown
from .typed import ROOT, Terminal


@pytest.fixture(scope="module")
def terminal(forked_python: str, tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    return Terminal(forked_python, tmp_path_factory.mktemp("user"))


def files_outside(folder: Path) -> set[Path]:
    """Return the files next to the user's folder, and those of the checkout that a command could write."""
    return {path for place in (folder.parent, ROOT, ROOT / "tools", ROOT / "benchmarks") for path in place.iterdir()}


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.does)
def test_a_mistake_ends_with_one_paragraph_that_says_what_to_do(mistake: Mistake, terminal: Terminal) -> None:
    before = files_outside(terminal.folder())
    found = shown(mistake, terminal)
    everything = found.out + found.err
    assert found.status == mistake.status, everything[-3000:]
    for part in mistake.says:
        assert part in found.paragraph, everything[-3000:]
    assert found.lines <= (MOST_STARTED if mistake.started else MOST), everything[-3000:]
    assert "Traceback (most recent call last)" not in everything
    assert files_outside(terminal.folder()) == before


def test_there_are_fifty_mistakes_each_with_a_name() -> None:
    assert len({mistake.does for mistake in MISTAKES}) == len(MISTAKES) >= 50
