"""Cases of wrong inputs and their messages; the inputs are in ``wrong_inputs`` and the other ``wrong_*`` modules."""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable, NamedTuple

ROOT = Path(__file__).parents[1]


class WrongInput(NamedTuple):
    """Case: its section of docs/wrong_inputs.md, a description, the function to call, and parts of the message."""

    part: str
    does: str
    act: Callable[[Path], Any]
    says: tuple[str, ...]


CASES: list[WrongInput] = []


def wrong(part: str, does: str, *says: str) -> Callable[[Callable[[Path], Any]], None]:
    """Register a function of an empty folder as a case."""

    def add(act: Callable[[Path], Any]) -> None:
        CASES.append(WrongInput(part, does, act, says))

    return add


def message_of(case: WrongInput, folder: Path) -> str:
    """Run a case and return the message on one line, without the paths of this machine.

    Raises:
        AssertionError: the input was not refused.
    """
    printed = io.StringIO()
    try:
        with _at(ROOT), contextlib.redirect_stderr(printed), contextlib.redirect_stdout(printed):
            result = case.act(folder)
        text = result if isinstance(result, str) else None
    except SystemExit:
        text = printed.getvalue().rpartition("error: ")[2]
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
    assert text, f"not refused: {case.does}"
    text = text.replace(f"{ROOT}/", "").replace(str(ROOT), "CHECKOUT").replace(str(folder), "FOLDER")
    return re.sub(r"\s+", " ", text).strip()


@contextlib.contextmanager
def _at(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
