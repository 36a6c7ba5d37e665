"""Report of the classes that shared a prompt: ``davpt-seg mapping``, ``tools/mapping_report.py``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

from rich.console import Console

from ..core.guidance.mapping_log import FILE_NAME, read_clusterings
from ..errors import InputError, some
from ..terminal.ending import command
from ..terminal.parser import CommandParser
from ..terminal.program import for_help
from ..visualization.mapping_table import history_text, mapping_table, moves_text

WIDE = 1000  # columns, so that lines are not wrapped: a Markdown table


@command
def main_mapping(argv: Optional[Sequence[str]] = None) -> None:
    """Print which classes shared a prompt at the start and the end of a training, and draw all clusterings."""
    parser = CommandParser(
        description="Print which classes shared a prompt at the start and at the end of a training, which of them "
        "moved, and the time of k-means; draw every clustering.",
        examples=for_help("{mapping} work_dirs/davpt/upernet_vitl_ade20k"),
        epilog="It reads WORK_DIR/mapping.jsonl, from a training with more classes than prompts (docs/guidance.md).",
    )
    parser.add_argument("work_dir", metavar="WORK_DIR", help="a training's folder, finished or not")
    parser.add_argument("--out", metavar="FILE", help="file of the figure; default: WORK_DIR/mapping.png")
    args = parser.parse_args(argv)
    log = _log(Path(args.work_dir))
    clusterings = read_clusterings(log)
    if not clusterings:
        raise InputError(f"{log} is empty: classes were not clustered yet, or the training stopped before")
    console = Console(width=None if sys.stdout.isatty() else WIDE, highlight=False, markup=False, emoji=False)
    console.print(mapping_table(clusterings[0], clusterings[-1]))
    console.print(moves_text(clusterings[0], clusterings[-1]))
    console.print(history_text(clusterings))
    out = Path(args.out) if args.out else log.with_suffix(".png")
    out.parent.mkdir(parents=True, exist_ok=True)
    from ..visualization.class_mapping import mapping_picture  # matplotlib takes half a second to import

    try:
        mapping_picture(clusterings).savefig(out)
    except ValueError as error:  # matplotlib's, for an unknown ending
        raise InputError(f"--out {out}: {error}") from error
    console.print(f"Figure: {out}")


def _log(work_dir: Path) -> Path:
    if not work_dir.is_dir():
        raise InputError(f"{work_dir} is no folder; give the --work-dir of a training")
    log = work_dir / FILE_NAME
    if not log.is_file():
        below = sorted(str(path.parent) for path in work_dir.rglob(FILE_NAME))
        found = f"; below it, these have one: {some(below)}" if below else ""
        raise InputError(
            f"{log} does not exist{found}. Classes are clustered if they outnumber the prompts of a guided block, a "
            "weight of guidance is above 0 and its mapping is not 'random'; see the log of the training"
        )
    return log
