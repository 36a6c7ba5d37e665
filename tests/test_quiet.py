"""What the terminal omits: records and warnings that exist, each with a reason, and nothing on import."""

from __future__ import annotations

import ast
import io
import logging
import re
import warnings
from pathlib import Path

import pytest

import davpt_seg
from davpt_seg.quiet import RECORDS, WARNINGS, TerminalFilter, known_warnings_hidden, without_notes

PACKAGE = Path(davpt_seg.__file__).parent


def written(*messages: str) -> str:
    """What a handler with the filter writes."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(TerminalFilter(handler))
    for message in messages:
        handler.handle(logging.LogRecord("x", logging.INFO, "", 0, message, (), None))
    return stream.getvalue()


def test_each_entry_has_a_reason() -> None:
    assert all(entry.reason for entry in (*RECORDS, *WARNINGS))


def test_records_are_dropped_by_their_start_and_others_stay() -> None:
    assert written("Config:\na = 1", "Hooks will be executed in the following order:\nx") == ""
    assert written("Configs: 3", "a Config:\n", "100 % of it") == "Configs: 3\na Config:\n\n100 % of it\n"


def test_a_long_list_of_prompts_is_shortened_once_and_a_short_one_is_not() -> None:
    title = "Each class has its own prompt:"
    long, short = ("\n".join([title, *(f"  prompt {i}: 100 %s" for i in range(n))]) for n in (150, 5))
    lines = written(long).splitlines()
    assert lines[:2] == [title, "  prompt 0: 100 %s"]
    assert lines[-1] == "  ... 145 more lines in the log file"
    assert len(lines) == 7
    assert written(short) == f"{short}\n"


def test_known_warnings_are_hidden_inside_and_unknown_ones_are_not() -> None:
    known = (
        "Default ``avg_non_ignore`` is False, if you would",
        "The draw is False, it means that the hook for visualization will",
    )
    with pytest.warns(UserWarning, match="another|The draw") as found:  # noqa: PT031
        with known_warnings_hidden():
            for text in (*known, "another"):
                warnings.warn(text, stacklevel=1)
        warnings.warn(known[0], stacklevel=1)
    assert [str(each.message) for each in found] == ["another", known[0]]


def test_notes_of_mmengines_loggers_are_dropped_also_after_they_were_shown(tmp_path: Path) -> None:
    from mmengine.logging import MMLogger

    log = MMLogger.get_instance("quiet", log_file=str(tmp_path / "log"))
    log.info("before")
    with without_notes():
        log.info("inside")
        log.warning("a warning")
    log.info("after")
    text = (tmp_path / "log").read_text()
    assert [word for word in ("before", "inside", "a warning", "after") if word in text] == [
        *("before", "a warning", "after")
    ]


def docstrings(tree: ast.AST) -> set[int]:
    """Lines on which a docstring or another string without use begins."""
    return {
        node.value.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }


def test_no_message_names_a_script_of_a_checkout() -> None:
    """An installed package has no tools/: messages name commands by ``program()``."""
    named = []
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text())
        skipped = docstrings(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.lineno not in skipped:
                named += [f"{path}:{node.lineno}: {each}" for each in re.findall(r"tools/\w+\.py", node.value)]
    assert named == []
