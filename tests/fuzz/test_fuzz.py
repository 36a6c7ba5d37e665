"""Random wrong inputs, seeded: each is refused by name, or gives the right result.

About a minute. ``FUZZ_SEED=3 FUZZ_TIMES=20 python -m pytest tests/fuzz`` looks further.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from .inputs import arguments, checkpoints, command_lines, images, list_files, releases, words
from .judge import Fuzz

PARTS = {
    "arguments": (arguments.fuzz, 300),
    "words": (words.fuzz, 200),
    "command lines": (command_lines.fuzz, 150),
    "list files": (list_files.fuzz, 400),
    "checkpoints": (checkpoints.fuzz, 300),
    "releases": (releases.fuzz, 60),
    "images": (images.fuzz, 400),
}


@pytest.mark.parametrize("part", PARTS)
def test_random_inputs_are_refused_by_name_or_give_the_right_result(
    part: str, tmp_path_factory: pytest.TempPathFactory, record_property: Callable[[str, object], None]
) -> None:
    run, cases = PARTS[part]
    fuzz = Fuzz(part, cases)
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        run(fuzz, tmp_path_factory.mktemp("fuzz"))
    finally:
        logging.disable(disabled)
    assert sum(fuzz.outcomes.values()) == fuzz.cases
    record_property("counts", fuzz.report())
    assert fuzz.outcomes["right result"] and fuzz.outcomes["named error"]  # or the cases try nothing
    shown = "\n".join(fuzz.failures[:40])
    assert not fuzz.failures, f"{len(fuzz.failures)} of {fuzz.cases} cases failed:\n{shown}"
