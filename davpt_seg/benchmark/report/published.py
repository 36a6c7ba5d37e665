"""Values that the paper published, for tables that compare them with ours; never presented as ours."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path
from typing import NamedTuple, Optional

from ...experiments.catalog import config_root

LABEL = "published (DA-VPT, arXiv 2505.23694)"


class Cell(NamedTuple):
    """Place of a value: trunk, head, method, and row of our table."""

    trunk: str
    head: str
    method: str
    row: str


@cache
def published(path: Optional[Path] = None) -> dict[Cell, float]:
    """Read ``configs/benchmarks/published.csv``: top-1, single-scale mIoU, millions of parameters (``tuned...``)."""
    with open(path or config_root() / "benchmarks" / "published.csv", newline="") as file:
        return {Cell(*(line[name] for name in Cell._fields)): float(line["value"]) for line in csv.DictReader(file)}
