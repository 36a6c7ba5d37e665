"""Run notebooks and store their outputs in them: ``make notebooks``.

A notebook reads its settings from environment variables (``TRUNK``, ``EPOCHS``, ``SCENES``, ``WORK``).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Optional

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from davpt_seg.terminal.ending import command
from davpt_seg.terminal.parser import CommandParser

ROOT, NAME = Path(__file__).resolve().parents[1], "davpt_seg"  # the name replaces the place of a machine


def run(path: Path) -> nbformat.NotebookNode:
    """Run a notebook in its folder and return it with outputs.

    Raises:
        CellExecutionError: a cell raised, or a command of a ``%%bash`` cell failed.
    """
    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(path.parent)}}
    client = NotebookClient(notebook, timeout=3600, record_timing=False, coalesce_streams=True, resources=resources)
    return client.execute()


@command
def main(argv: Optional[Sequence[str]] = None) -> None:
    """Run the command line; ``argv`` defaults to ``sys.argv[1:]``."""
    parser = CommandParser(description=__doc__)
    parser.add_argument("notebooks", nargs="+", type=Path, metavar="NOTEBOOK", help=".ipynb files, which are rewritten")
    for path in parser.parse_args(argv).notebooks:
        try:
            notebook = run(path)
        except CellExecutionError as error:
            raise SystemExit(f"{path} is left as it was: {error}") from error
        path.write_text(nbformat.writes(notebook).replace(str(ROOT), NAME) + "\n", encoding="utf-8")
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
