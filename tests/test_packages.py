"""Optional libraries: one list, whose commands install what pyproject.toml declares."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from davpt_seg.commands.info import report
from davpt_seg.packages import DISTRIBUTIONS, NEEDED, ONEDL_DETECTION, OPTIONAL, install

ROOT = Path(__file__).parents[1]


def test_the_requirements_are_those_of_the_extras() -> None:
    declared = re.findall(r'"([^"]+)"', (ROOT / "pyproject.toml").read_text())
    undeclared = {"tensorflow-datasets", "tensorflow-cpu", "importlib_resources", "datasets"}
    for requirements in (*(library.requirements for library in OPTIONAL.values()), ONEDL_DETECTION):
        assert set(requirements) <= {*declared, *undeclared}


def test_advice_beside_the_fork_names_its_mmdetection(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "onedl_mmengine-0.10.12.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: onedl-mmengine\nVersion: 0.10.12\n")
    others = {name: install(name) for name in NEEDED if name not in ("mmdet", "pycocotools")}
    monkeypatch.syspath_prepend(tmp_path)
    assert install("mmdet") == "pip install 'onedl-mmdetection>=3.5' 'pycocotools>=2.0.7'"
    assert {name: install(name) for name in others} == others


def test_no_advice_names_an_unpublished_package() -> None:
    assert all("davpt-seg[" not in install(name) for name in NEEDED)
    for file in (ROOT / "davpt_seg").rglob("*.py"):
        assert "pip install 'davpt-seg[" not in file.read_text(), file


def test_info_lists_every_optional_library_with_what_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("davpt_seg.commands.info._version", lambda name: None)
    lines = report()
    for name, library in OPTIONAL.items():
        assert f"{DISTRIBUTIONS.get(name, name)}: not installed; for {library.use}: {install(name)}" in lines
