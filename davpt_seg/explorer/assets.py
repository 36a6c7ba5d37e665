"""Script and style of the explorer's page, which are files of this package."""

from __future__ import annotations

from importlib.resources import files

#: In this order; each uses what is before it.
SCRIPTS = (
    "elements",
    "attention",
    "stage",
    "strip",
    "history",
    "cards",
    "panel",
    "controls",
    "images",
    "explorer",
    "sources",
)


def script() -> str:
    """Return the page's JavaScript."""
    return "\n".join(['"use strict";', *(_text(f"{name}.js") for name in SCRIPTS)])


def style() -> str:
    """Return the page's CSS."""
    return _text("explorer.css")


def template() -> str:
    """Return the HTML of a self-contained page, with ``{{style}}``, ``{{script}}`` and ``{{stored}}`` to fill in."""
    return _text("page.html")


def _text(name: str) -> str:
    return (files(__package__) / "static" / name).read_text(encoding="utf-8")
