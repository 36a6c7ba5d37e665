"""The drawings of docs/methods.md: what the script makes, one for each method, and on the page."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.tools.scripts import load_script

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "methods"
# One drawing would show two others', or differ from another in its arguments alone.
ELSEWHERE = {"davpt_plus": ("davpt", "efficient_bias"), "davpt_release": ("davpt",)}


@pytest.fixture(scope="module")
def draw() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)  # as where the script lies
        yield load_script(FOLDER / "draw.py")


def test_the_files_are_what_the_script_draws(draw: ModuleType) -> None:
    kept = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.svg")}
    assert kept == draw.drawings()


def test_every_method_has_a_drawing_on_the_page(draw: ModuleType) -> None:
    page = (ROOT / "docs" / "methods.md").read_text()
    methods = {path.stem for path in (ROOT / "configs" / "_base_" / "methods").glob("*.py")}
    for method in methods:
        for drawing in ELSEWHERE.get(method, (method,)):
            assert f"](methods/{drawing}.svg)" in page
    assert {name for name in draw.DRAWINGS if f"](methods/{name}.svg)" not in page} == set()


def test_nothing_is_drawn_outside_the_picture(draw: ModuleType) -> None:
    for name, text in draw.drawings().items():
        picture = ET.fromstring(text)
        width, height = float(picture.get("width", 0)), float(picture.get("height", 0))
        for shape in picture.iter():
            points = [tuple(map(float, pair.split(","))) for pair in shape.get("points", "").split()]
            if "x" in shape.attrib:
                points.append((float(shape.get("x", 0)), float(shape.get("y", 0))))
            assert all(0 <= x <= width and 0 <= y <= height for x, y in points), name
