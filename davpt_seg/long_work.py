"""Progress of long work: a bar on a terminal, a line now and then elsewhere, both with the time left."""

from __future__ import annotations

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


def in_parallel(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int, title: str, bar: bool = True
) -> Iterator[Result]:
    """Yield ``function`` of each item, in order; ``bar`` shows progress on stderr.

    Threads suffice: Pillow and zlib decode without Python's lock, and nothing has to be pickled.
    """
    with ThreadPoolExecutor(workers) as pool:
        try:
            results = pool.map(function, items)
            yield from _shown(results, len(items), title) if bar else results
        except BaseException:
            pool.shutdown(cancel_futures=True)  # an interrupt must not wait for all that is queued
            raise


def reported(items: Iterable[Item], total: int, title: str, say: Callable[[str], object]) -> Iterator[Item]:
    """Yield items, and say every twenty seconds how many are done and how long the others will take.

    Args:
        items: what is worked on; each counts as done when the next one is asked for.
        total: their number.
        title: what is done.
        say: takes a line, such as a logger's ``info``.
    """
    start = last = time.monotonic()
    for done, item in enumerate(items):
        now = time.monotonic()
        if done and now - last >= EVERY:
            last = now
            say(f"{title}: {done}/{total}, ETA {timedelta(seconds=round((now - start) / done * (total - done)))}")
        yield item


def _shown(results: Iterable[Result], total: int, title: str) -> Iterator[Result]:
    from rich.console import Console  # a tenth of a second, which training has no use for
    from rich.progress import track

    console = Console(stderr=True)
    if console.is_terminal:
        return iter(track(results, description=title, total=total, console=console))
    return reported(results, total, title, partial(print, file=sys.stderr, flush=True))
