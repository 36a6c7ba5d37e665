"""ViTs under other names than those of the known formats: ``net.blocks.0...`` in a trainer's checkpoint."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from torch import Tensor

from ...errors import InputError, some
from .table import FORMATS

CONTAINERS = ("", "state_dict.", "model.")  # dicts around all tensors, which a user need not write


def under(tensors: Mapping[str, Tensor], prefix: str, path: Path) -> tuple[dict[str, Tensor], list[str]]:
    """Return the tensors under a prefix, without it, and the names of the others.

    Args:
        tensors: all of a file.
        prefix: such as ``net.`` or ``net``; the ``state_dict.`` around it may be omitted.
        path: the file, for messages.

    Raises:
        InputError: no tensor has the prefix.
    """
    for complete in (f"{container}{prefix.rstrip('.')}." for container in CONTAINERS):
        inside = {name[len(complete) :]: value for name, value in tensors.items() if name.startswith(complete)}
        if inside:
            return inside, [name for name in tensors if not name.startswith(complete)]
    known = prefixes(tensors)
    advice = f"a ViT is under {some(list(map(repr, known)))}" if known else f"its names are {some(tensors)}"
    raise InputError(f"prefix={prefix!r}: weights file {str(path)!r} has no tensor under it; {advice}")


def prefixes(names: Collection[str]) -> list[str]:
    """Return the prefixes under which a ViT of a known format is."""
    found: dict[str, None] = {}
    for kernel in dict.fromkeys(format_.kernel for format_ in FORMATS):
        for name in names:
            before = name[: -len(kernel)]
            if not name.endswith(kernel) or not before.endswith("."):
                continue
            parts = before.split(".")[:-1]
            for count in range(len(parts), 0, -1):  # CLIP's own names begin with visual.
                prefix = ".".join(parts[:count]) + "."
                inside = [each[len(prefix) :] for each in names if each.startswith(prefix)]
                if any(format_.networks(inside) for format_ in FORMATS):
                    found[prefix] = None
                    break
    return list(found)
