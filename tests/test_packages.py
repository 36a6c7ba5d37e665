"""Optional libraries: one list, whose commands install what pyproject.toml declares."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from davpt_seg.commands.info import report
from davpt_seg.packages import DISTRIBUTIONS, NEEDED, OPTIONAL, install

ROOT = Path(__file__).parents[1]


def test_the_requirements_are_those_of_the_extras() -> None:
    declared = re.findall(r'"([^"]+)"', (ROOT / "pyproject.toml").read_text())
    undeclared = {"tensorflow-datasets", "tensorflow-cpu", "importlib_resources", "datasets"}
    for library in OPTIONAL.values():
        assert set(library.requirements) <= {*declared, *undeclared}


def test_no_advice_names_an_unpublished_package() -> None:
    assert all("davpt-seg[" not in how for _, how in NEEDED.values())
    for file in (ROOT / "davpt_seg").rglob("*.py"):
        assert "pip install 'davpt-seg[" not in file.read_text(), file


def test_info_lists_every_optional_library_with_what_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("davpt_seg.commands.info._version", lambda name: None)
    lines = report()
    for name, library in OPTIONAL.items():
        assert f"{DISTRIBUTIONS.get(name, name)}: not installed; for {library.use}: {install(name)}" in lines
