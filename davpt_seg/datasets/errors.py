"""What a data set that is not as its config says is refused with."""

from __future__ import annotations


class DataError(ValueError):
    """A data set that is not as its config says."""
