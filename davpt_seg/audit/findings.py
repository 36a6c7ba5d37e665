"""Findings of a data set's audit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from ..datasets.pictures import too_large, why_unreadable


class Finding(NamedTuple):
    """A problem or a note: its kind (a key of ``report.NEXT_STEPS`` or ``NOTES``), the file, and details."""

    kind: str
    path: str
    detail: str = ""


def unreadable(path: str, error: Exception) -> Finding:
    """Return the finding of an image that raised one of ``pictures.UNREADABLE``."""
    return Finding("too large" if too_large(error) else "unreadable", path, why_unreadable(error, path))


@dataclass
class SplitAudit:
    """Findings of one split.

    ``seen_in`` counts the images of each class. For label maps, ``pixels`` counts the pixels of each class, ``void``
    the void pixels, ``masks`` the masks that were read and ``void_masks`` the masks without any class. All are zero if
    no label was read. For detection, ``objects`` counts the objects of each class. ``lines`` say more about the split.
    """

    split: str
    dataset: str
    images: int = 0
    expected: tuple[int, ...] = ()
    decoded: bool = False
    classes: tuple[str, ...] = ()
    pixels: list[int] = field(default_factory=list)
    seen_in: list[int] = field(default_factory=list)
    void: int = 0
    masks: int = 0
    void_masks: int = 0
    objects: list[int] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    notes: list[Finding] = field(default_factory=list)

    @property
    def never_seen(self) -> tuple[str, ...]:
        """Return the classes that no image has."""
        read = self.decoded or any(self.seen_in)  # lists have labels without decoding
        return tuple(name for name, count in zip(self.classes, self.seen_in) if not count) if read else ()
