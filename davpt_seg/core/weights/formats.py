"""What a checkpoint format is: by which names it is known, and which of its networks is the ViT."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Callable, Optional

from .names import PATCH_KERNEL, State, from_timm


@dataclass(frozen=True)
class Format:
    """One row of the table of formats.

    Args:
        name: what the log calls it.
        about: who writes it.
        network: pattern of the prefix of the ViT's names; its group ``which`` distinguishes several networks.
        to_timm: turns the ViT's names into timm's.
        kernel: the ViT's patch embedding, by its name in this format.
        marks: patterns of names that the ViT has in this format and in no later one.
        which: the networks a file may hold, the one taken by default first.
        beside: pattern of names outside the network that may be omitted: heads, optimizers, text towers.
    """

    name: str
    about: str
    network: str
    to_timm: Callable[[State], State] = from_timm
    kernel: str = PATCH_KERNEL
    marks: tuple[str, ...] = ()
    which: tuple[str, ...] = ()
    beside: Optional[str] = None

    def networks(self, tensors: Collection[str]) -> dict[str, str]:
        """Return the prefixes of the ViTs among tensor names, by the words for ``which``, the default first."""
        found = {}
        for name in tensors:
            prefix = name[: -len(self.kernel)]
            match = re.fullmatch(self.network, prefix) if name.endswith(self.kernel) else None
            if match and self._marked(prefix, tensors):
                found[match.groupdict().get("which") or ""] = prefix
        return dict(sorted(found.items(), key=lambda item: (*self.which, "").index(item[0])))

    def _marked(self, prefix: str, tensors: Collection[str]) -> bool:
        return all(any(re.fullmatch(re.escape(prefix) + mark, name) for name in tensors) for mark in self.marks)
