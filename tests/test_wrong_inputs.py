"""Each wrong input gets a message that names it, and each kind of them a section of docs/wrong_inputs.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import (  # noqa: F401  (each adds its cases)
    wrong_data,
    wrong_inputs,
    wrong_methods,
    wrong_pruning,
    wrong_recognition,
    wrong_trunks,
)
from .wrong_case import CASES, ROOT, WrongInput, message_of

PAGE = (ROOT / "docs" / "wrong_inputs.md").read_text().splitlines()


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.part}: {case.does}")
def test_a_wrong_input_is_refused_by_name(case: WrongInput, tmp_path: Path) -> None:
    message = message_of(case, tmp_path)
    for words in case.says:
        assert words in message


def test_the_page_has_a_section_for_each_kind_and_stays_a_page() -> None:
    sections = {line.removeprefix("## ") for line in PAGE if line.startswith("## ")}
    assert {case.part for case in CASES} <= sections
    assert len(PAGE) <= 150
