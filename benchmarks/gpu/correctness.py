"""Part one: each line is OK, or names what differs and by how much."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch

from . import kernels, parallel, precision, state
from .methods import METHODS
from .report import SKIPPED, Found, Report
from .scale import Scale
from .schedule import Schedule

PART = "correctness"
COMPILED = "torch.compile"


@contextmanager
def exact_float32() -> Iterator[None]:
    """Keep TensorFloat-32 out of float32 products and convolutions."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def checks(scale: Scale) -> dict[str, Callable[[], Found]]:
    """Return all checks by name, those that compile last, since they take longest."""
    half = {
        f"{str(dtype).removeprefix('torch.')} autocast: {method}": partial(precision.check, method, scale, dtype)
        for dtype in (torch.float16, torch.bfloat16)
        for method in METHODS
    }
    found = {**half, **kernels.checks(scale), **parallel.checks(scale), **state.checks(scale)}
    return dict(sorted(found.items(), key=lambda item: item[0].startswith(COMPILED)))


def run(report: Report, scale: Scale, schedule: Schedule) -> None:
    """Run all checks. Only those that compile are skipped when the part's time is over."""
    with exact_float32():
        for name, check in checks(scale).items():
            if name.startswith(COMPILED) and not schedule.left(PART):
                report.add(PART, name, Found(SKIPPED, "no time left for it; give more --minutes"))
            else:
                report.attempt(PART, name, check)
