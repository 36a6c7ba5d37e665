"""Tables and pictures of a work dir, of whatever has ended in it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .components import component_text
from .drawings import Drawings
from .figure_tables import figure_text, panels_of
from .files import write_text
from .markdown import as_csv, markdown
from .protocol import Protocol
from .table import Column, columns


def write_report(protocols: Sequence[Protocol], root: Path, drawings: Drawings) -> str:
    """Write ``table.md``, its CSV and pictures into the work dir, and the plan's drawings into ``figures``.

    Returns:
        The Markdown, and where the files are.
    """
    found = columns(protocols)
    text = markdown(found)
    write_text(root / "table.md", text)
    write_text(root / "table.csv", as_csv(found))
    from .learning_curves import curves_of, draw_curves  # matplotlib takes half a second to import
    from .plots import picture

    picture(found).savefig(root / "table.png")
    files = ["table.csv", "table.png"]
    curves = curves_of(protocols)
    if curves:
        draw_curves(curves).savefig(root / "curves.png")
        files.append("curves.png")
    files += [str(path.relative_to(root)) for path in draw(found, drawings, root / "figures")]
    return f"{text}\nFiles: {root / 'table.md'}, {', '.join(files)}"


def draw(found: Sequence[Column], drawings: Drawings, folder: Path) -> list[Path]:
    """Write the figures, ``NAME_TRUNK.png`` and ``.md``, and the tables, ``NAME.md``, of which something has ended.

    Returns:
        The files.
    """
    written = []
    for figure in drawings.figures:
        for trunk in dict.fromkeys(column.trunk for column in found):
            here = [column for column in found if column.trunk == trunk]
            if panels_of(figure, here):
                from .lines import figure_of  # matplotlib, as above

                path = folder / f"{figure.name}_{trunk}.md"
                write_text(path, figure_text(figure, here))
                figure_of(figure, here).savefig(path.with_suffix(".png"))
                written += [path, path.with_suffix(".png")]
    for table in drawings.tables:
        here = [column for column in found if column.name in table.rows]
        if any(score for column in here for score in column.scores.values()):
            path = folder / f"{table.name}.md"
            write_text(path, component_text(table, here))
            written.append(path)
    return written
