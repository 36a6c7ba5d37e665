"""Many files read by a few threads, with a progress bar and the time left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Callable, TypeVar

from rich.console import Console
from rich.progress import track

WORKERS = 8  # threads of the checks before training, which read headers and few masks
MANY = 2000  # files whose headers take long enough for a progress bar

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
            yield from track(
                results, description=title, total=len(items), console=Console(stderr=True), disable=not bar
            )
        except BaseException:
            pool.shutdown(cancel_futures=True)  # an interrupt must not wait for all that is queued
            raise
