"""Errors whose message is for the user: what is wrong, what was expected, what to do."""

from __future__ import annotations

DIVERGED = 3  # exit status of a training that diverged; 1 is a crash, 2 a wrong command line


class InputError(ValueError):
    """A file, option or value that cannot be used."""


class DataError(InputError):
    """A data set that differs from what its config describes."""


class DivergedError(InputError):
    """A training whose losses or parameters are no longer finite."""
