"""Tables and picture of a work dir, of whatever has ended in it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .files import write_text
from .markdown import as_csv, markdown
from .protocol import Protocol
from .table import columns


def write_report(protocols: Sequence[Protocol], root: Path) -> str:
    """Write ``table.md``, ``table.csv`` and ``table.png`` into the work dir.

    Returns:
        The Markdown, and where the files are.
    """
    from .plots import picture  # matplotlib takes a second to import

    found = columns(protocols)
    text = markdown(found)
    write_text(root / "table.md", text)
    write_text(root / "table.csv", as_csv(found))
    picture(found).savefig(root / "table.png")
    return f"{text}\nFiles: {root / 'table.md'}, table.csv, table.png"
