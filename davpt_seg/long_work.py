"""Progress of long work, with the time left: a bar on a terminal, or a log line every 20 seconds."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Callable, TypeVar

WORKERS = 8  # threads of the checks before training, which read headers and few masks
MANY = 2000  # files whose headers take long enough for a progress bar
EVERY = 20.0  # seconds between two lines

Item = TypeVar("Item")
Result = TypeVar("Result")


def usable_cores() -> int:
    """Return the number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_parallel(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int, title: str, bar: bool = True
) -> Iterator[Result]:
    """Yield ``function`` of each item, in order; ``bar`` shows progress on stderr.

    Threads suffice: Pillow and zlib decode without Python's lock, and nothing has to be pickled.
    """
    with ThreadPoolExecutor(workers) as pool:
        try:
            results = pool.map(function, items)
            yield from shown(results, len(items), title) if bar else results
        except BaseException:
            pool.shutdown(cancel_futures=True)  # an interrupt must not wait for queued items
            raise


def reported(items: Iterable[Item], total: int, title: str, say: Callable[[str], object]) -> Iterator[Item]:
    """Yield items, and report every twenty seconds the number done and the time left.

    Args:
        items: items to work on; each counts as done when the next one is requested.
        total: number of items.
        title: name of the work.
        say: function that takes a line, such as a logger's ``info``.
    """
    start = last = time.monotonic()
    for done, item in enumerate(items):
        now = time.monotonic()
        if done and now - last >= EVERY:
            last = now
            say(f"{title}: {done}/{total}, ETA {timedelta(seconds=round((now - start) / done * (total - done)))}")
        yield item


def shown(results: Iterable[Result], total: int, title: str) -> Iterator[Result]:
    """Yield results with their progress on stderr: a bar in a terminal, else a line every twenty seconds."""
    from rich.console import Console  # takes a tenth of a second, and training does not need it
    from rich.progress import track

    console = Console(stderr=True)
    if console.is_terminal:
        return iter(track(results, description=title, total=total, console=console))
    return reported(results, total, title, partial(print, file=sys.stderr, flush=True))
