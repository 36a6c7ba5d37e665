"""Little memory: what a refusal may take."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MOST = 256 * 2**20  # bytes, of which Python's modules take most


@contextmanager
def little_memory() -> Iterator[None]:
    """Let allocations of this process fail beyond what it has now and :data:`MOST` more."""
    limits = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * os.sysconf("SC_PAGE_SIZE") + MOST, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
