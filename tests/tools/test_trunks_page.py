"""docs/trunks.md: its table is what the installed timm builds."""

from __future__ import annotations

from pathlib import Path

from .scripts import load_script

page = load_script(Path(__file__).parents[2] / "tools" / "trunks_page.py")


def test_every_name_is_of_a_family_and_no_family_is_empty() -> None:
    assert {page.family(name) for name in page.names()} == set(page.FAMILIES)


def test_the_table_of_the_page_is_current() -> None:
    text = page.PAGE.read_text()
    assert page.with_table(text, page.table()) == text, "run python tools/trunks_page.py"
