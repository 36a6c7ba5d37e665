"""Tables and figures of the finished runs in a work dir."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...runs.json_files import write_text
from ..plan.plan import Drawings
from ..run.protocol import Protocol
from .ablations import component_text, figure_text, panels_of
from .markdown import as_csv, markdown
from .shares_table import shares_table
from .table import Column, columns


def write_report(protocols: Sequence[Protocol], root: Path, drawings: Drawings) -> str:
    """Write ``table.md``, its CSV and figures into the work dir, and the plan's figures and tables into ``figures``.

    Returns:
        The Markdown, and the paths of the files.
    """
    found = columns(protocols)
    text = "\n".join([markdown(found), *filter(None, map(shares_table, protocols))])
    write_text(root / "table.md", text)
    write_text(root / "table.csv", as_csv(found))
    from .figures import table_figure  # matplotlib takes half a second to import
    from .learning_curves import curves_of, draw_curves

    table_figure(found).savefig(root / "table.png")
    files = ["table.csv", "table.png"]
    curves = curves_of(protocols)
    if curves:
        draw_curves(curves).savefig(root / "curves.png")
        files.append("curves.png")
    files += [str(path.relative_to(root)) for path in draw(found, drawings, root / "figures")]
    return f"{text}\nFiles: {root / 'table.md'}, {', '.join(files)}"


def draw(found: Sequence[Column], drawings: Drawings, folder: Path) -> list[Path]:
    """Write the figures, ``NAME_TRUNK.png`` and ``.md``, and the tables, ``NAME.md``, that have a result.

    Returns:
        The files.
    """
    written = []
    for name, figure in drawings.figures.items():
        for trunk in dict.fromkeys(column.trunk for column in found):
            here = [column for column in found if column.trunk == trunk]
            if panels_of(figure, here):
                from .figures import figure_of  # matplotlib, as above

                path = folder / f"{name}_{trunk}.md"
                write_text(path, figure_text(figure, here))
                figure_of(figure, here).savefig(path.with_suffix(".png"))
                written += [path, path.with_suffix(".png")]
    for name, table in drawings.tables.items():
        here = [column for column in found if column.name in table.rows]
        if any(score for column in here for score in column.scores.values()):
            path = folder / f"{name}.md"
            write_text(path, component_text(table, here))
            written.append(path)
    return written
