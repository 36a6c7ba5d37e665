"""Each wrong input gets a message that names it; docs/wrong_inputs.md shows these messages."""

from __future__ import annotations

from pathlib import Path

import pytest

from .wrong_inputs import CASES, DOCUMENT, WrongInput, message_of, settled_part_of_row


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.part}: {case.does}")
def test_a_wrong_input_is_named_as_the_document_says(case: WrongInput, tmp_path: Path) -> None:
    message = message_of(case, tmp_path)
    for words in case.says:
        assert words in message
    row = settled_part_of_row(case, message)
    written = [line for line in DOCUMENT.read_text().splitlines() if line.startswith(row)]
    assert written, f"{row}: not in {DOCUMENT}; python -m tests.wrong_inputs writes it anew"


def test_the_document_lists_no_more_and_no_less() -> None:
    rows = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("| ")]
    parts = {case.part for case in CASES}
    assert len(rows) - len(parts) == len(CASES) >= 25  # each part's table has a head
