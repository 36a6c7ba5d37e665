"""What a plan may not say."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ..errors import InputError, nearest
from ..experiments.words import BY_RUNNER

# What an option must not touch, or the search could see test images.
PROTECTED = (
    *("val_dataloader.dataset", "test_dataloader", "val_evaluator", "test_evaluator"),
    *("train_dataloader.dataset", "randomness.seed"),
)
ALLOWED = "train_dataloader.dataset.pipeline"  # how images are augmented is not which images they are


def check_keys(content: Any, known: Collection[str], where: str) -> None:
    """Refuse what is no mapping, and keys that are not known.

    Raises:
        InputError: such; the message holds the closest known key.
    """
    if not isinstance(content, Mapping):
        raise InputError(f"{where} must be a mapping, got {content!r}")
    for key in content:
        if key in BY_RUNNER and key not in known:
            raise InputError(f"{where}: {key!r} is set by the runner: it chooses on split=choose, tests on split=final")
        if key not in known:
            raise InputError(f"{where} has no {key!r}; {nearest(key, known)}")


def check_folder(name: str, where: str) -> None:
    """Refuse a name whose folder would be elsewhere than below the work dir: ``../x``, ``/x``.

    Raises:
        InputError: such.
    """
    for part in name.split("/"):
        if not re.fullmatch(r"[\w+.-]*[\w+-][\w+.-]*", part):
            raise InputError(f"{where}: {name!r} is no name; a name becomes a folder: use letters, digits and _ - + .")


def check_options(options: Sequence[str], where: str) -> None:
    """Refuse options of the config that are no ``KEY=VALUE``, or that would change which images are seen.

    Raises:
        InputError: such.
    """
    for option in options:
        key, equals, _ = str(option).partition("=")
        if not equals:
            raise InputError(f"{where}, cfg_options: {option!r} is no KEY=VALUE")
        if f"{key}.".startswith(f"{ALLOWED}."):
            continue
        if any(f"{key}.".startswith(f"{name}.") or name.startswith(f"{key}.") for name in PROTECTED):
            raise InputError(f"{where}: {key} decides which images or seeds a run sees, which is the protocol's to set")
