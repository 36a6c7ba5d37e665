"""Each mistake of a user of detection ends with one paragraph that says what to do, and trains nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from .detection_mistakes import DETECTION_MISTAKES, write_user
from .mistakes import MOST, Mistake, shown
from .typed import Shell


@pytest.fixture(scope="module")
def shell(forked_python: str, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    return Shell(forked_python, tmp_path_factory.mktemp("desk"), write_user)


@pytest.mark.parametrize("mistake", DETECTION_MISTAKES, ids=lambda mistake: mistake.does)
def test_a_mistake_ends_with_one_paragraph_that_says_what_to_do(mistake: Mistake, shell: Shell) -> None:
    home: Path = shell.folder()
    found = shown(mistake, shell)
    everything = found.out + found.err
    assert found.status == mistake.status, everything[-3000:]
    for part in mistake.says:
        assert part in found.paragraph, everything[-3000:]
    assert found.lines <= MOST, everything[-3000:]
    assert "Traceback (most recent call last)" not in everything
    assert not list(home.rglob("*.pth"))
