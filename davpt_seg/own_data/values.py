"""Meaning of the values of masks: class numbers, 0 and 255, numbers from 1, or others in the classes' order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

from ..audit.label_values import listed
from ..errors import DataError
from .class_file import VOID_NAMES, Classes
from .masks import VOID, Masks

MOST_UNNAMED = 64  # values of masks whose classes have no names; more, with gaps, are shades of gray
SHADES = 200  # values from here on are shades of gray, also without gaps


def of_values(root: Path, pixels: Counter[int], classes: Optional[Classes], void: Optional[int], kind: str) -> Masks:
    """Understand the values of all masks.

    Args:
        root: the data set's folder.
        pixels: number of pixels by value.
        classes: names of the classes; None to number them.
        void: value that is void beside 255.
        kind: kind of the masks.

    Raises:
        DataError: the values do not fit the classes.
    """
    given, void = void, None if void == VOID and VOID in pixels else void
    values = sorted(value for value in pixels if value not in (VOID, void))
    if void is not None and void not in pixels:
        raise DataError(f"{root}: --void {void}, but no mask holds {void}; they hold {listed(sorted(pixels))}: omit it")
    names = classes.names if classes else None
    colours = classes.colours if classes else None
    if not names and len(values) > 256:
        raise DataError(
            f"{root}: the masks hold {len(values):,} values, so they are no class numbers; name the classes"
        )
    pair = _two_valued(values, pixels, names) if given is None else None
    if pair:
        table: Mapping[Any, int] = {0: 0, pair: 1} if pair == VOID else {0: 0, pair: 1, VOID: VOID}
        masks = Masks(kind, names or ("background", "foreground"), dict(table), colours=colours)
        masks.notes.append(f"0 is class 0, and {pair} becomes class 1")
        masks.pixels = counted(pixels, table)
        return masks
    if not values:
        ignored = f"{VOID}" if void is None else f"{void} or {VOID}"
        raise DataError(f"{root}: every pixel of the masks is void ({ignored}); expected are class numbers from 0")
    from_one = names is None and void is None and values[0] == 1 and values[-1] == len(values)
    count = len(names) if names else values[-1] + (not from_one)
    if set(pixels) == {0, VOID} and given is None:
        raise DataError(
            f"{root}: the masks hold only 0 and 255, which are two classes, but {_source(classes)} names {count}; name "
            "two, such as background,foreground"
        )
    if not names and len(values) > MOST_UNNAMED and values[-1] > min(len(values), SHADES):
        raise DataError(
            f"{root}: the masks hold {len(values)} values from {values[0]} to {values[-1]}, as shades of gray do. "
            "Masks of two classes need sharp borders: make them again without smoothing. If these are class numbers, "
            "name the classes (--classes a,b,... or --classes-file)"
        )
    if names and void == 0 and values[-1] < count:
        raise DataError(
            f"{root}: besides 0, which --void ignores, the masks hold {listed(values)}, but {_source(classes)} names "
            f"{count} classes, {names[0]} to {names[-1]}. Name those from 1 on, without the name of 0"
        )
    if not names and values[-1] > 2 * len(values):
        raise DataError(
            f"{root}: the masks hold {listed(values)}, which are no class numbers from 0 on. Name the classes of these "
            f"{len(values)} values, in this order: --classes a,b,..."
        )
    if values[-1] < count and void is None:
        masks = Masks(kind, names or _numbered(count), None, pixels, colours=colours)
    elif values[-1] <= count and void == 0:
        masks = Masks(kind, names or _numbered(values[-1]), None, pixels, True, colours=colours)
    elif values[-1] == count and 0 not in pixels:
        masks = Masks(kind, names or _numbered(count), None, pixels, True, colours=colours)
        masks.notes.append("classes count from 1 in the masks")
    elif names and void and values[-1] < count <= void:
        kept = {**{value: value for value in values}, VOID: VOID, void: VOID}
        masks = Masks(kind, names, kept, counted(pixels, kept), colours=colours)
    elif len(values) == count or (names is None and void is not None):
        order: dict[Any, int] = {value: label for label, value in enumerate(values)}
        order.update({VOID: VOID} if void is None else {VOID: VOID, void: VOID})
        masks = Masks(kind, names or _numbered(len(values)), order, counted(pixels, order), colours=colours)
        masks.notes.append(f"the values {listed(values)} become 0 to {len(values) - 1}, in this order")
    else:
        lacking = "0 is a class that is not named, or void (--void 0); " if values[-1] == count else ""
        raise DataError(
            f"{root}: the masks hold the {len(values)} values {listed(values)} besides void, but "
            f"{_source(classes)} names {count} classes, which are 0 to {count - 1}: "
            f"{lacking}name every class, in the order of their numbers, or give the value to ignore by --void VALUE"
        )
    if masks.zero_is_void:
        masks.pixels = Counter({v - 1 if 0 < v < VOID else VOID: n for v, n in pixels.items()})
    unseen = [name for name in masks.names if name.lower() in VOID_NAMES]
    if unseen:
        number = masks.names.index(unseen[0])
        masks.notes.append(
            f"{unseen[0]!r} is trained and scored as a class, number {number}; to ignore its pixels, do not name it, "
            "and give its value in the masks by --void"
        )
    if not classes:
        masks.notes.append(
            f"the classes have no names: {masks.names[0]} to {masks.names[-1]}; --classes a,b,... names them"
        )
    return masks


def _two_valued(values: Sequence[int], pixels: Counter[int], names: Optional[tuple[str, ...]]) -> Optional[int]:
    """Return the value of the foreground where masks hold only 0 and it, such as 0 and 255."""
    if names is not None and len(names) != 2:
        return None
    if set(pixels) == {0, VOID}:
        return VOID
    return values[1] if len(values) == 2 and values[0] == 0 and values[1] in (127, 128) and VOID not in pixels else None


def _numbered(count: int) -> tuple[str, ...]:
    return tuple(f"class_{number}" for number in range(count))


def counted(pixels: Mapping[Any, int], table: Mapping[Any, int]) -> Counter[int]:
    """Return the number of pixels by class, of those by value."""
    found: Counter[int] = Counter()
    for value, count in pixels.items():
        found[table[value]] += count
    return found


def _source(classes: Optional[Classes]) -> str:
    return classes.source if classes else "the data set"
