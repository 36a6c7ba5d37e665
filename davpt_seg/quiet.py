"""Silence for what other libraries log."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_notes() -> Iterator[None]:
    """Drop log records up to the level INFO; warnings and errors pass."""
    before = logging.root.manager.disable
    logging.disable(logging.INFO)
    try:
        yield
    finally:
        logging.disable(before)
