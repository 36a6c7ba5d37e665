"""The place of an adapter folder: a local folder, or a repository of the Hugging Face hub."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Union

from .hub import HubPlace
from .places import HUB, LocalPlace, Place


def place_of(folder: Union[str, os.PathLike[str]]) -> Place:
    """Return the place that a user named: a path, or ``hub:USER/NAME`` with an optional ``@REVISION``.

    Raises:
        InputError: no such folder, or no name of a repository.
    """
    text = os.fspath(folder)
    return HubPlace(text) if text.startswith(HUB) else LocalPlace(Path(text))
