"""Contradictions between a config and the values of all masks, with the likely fix."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from .label_values import VOID, SeenValues, listed

ENOUGH = 2048  # masks of a split after which an unseen class counts as absent


class Contradiction(NamedTuple):
    """A contradiction: its kind (a key of ``report.NEXT_STEPS`` or ``NOTES``), its split, and a sentence on it."""

    kind: str
    split: str
    text: str
    certain: bool = True


def contradictions(splits: Mapping[str, SeenValues]) -> list[Contradiction]:
    """Find values that contradict the config in all masks that were read.

    Three contradictions are certain: a split without any class; a single class in training or in all splits (without
    training: a single class and void); and ``reduce_zero_label`` with 0 and all classes but the last. Other absent
    classes are no contradiction: data sets may lack some.

    Args:
        splits: values that were seen, by split; splits without masks are skipped.
    """
    splits = {name: seen for name, seen in splits.items() if seen.masks}
    found = [_all_void(name, seen) for name, seen in splits.items() if seen.void_masks == seen.masks]
    if found or not splits:
        return found
    moved = {name: seen for name, seen in splits.items() if last_is_missing(splits, name)}
    shifted = [_shifted(moved)] if moved else []
    if any(case.certain for case in shifted):
        return shifted
    alone = [(name, seen) for name, seen in splits.items() if one_class(splits, name)]
    few = not any(name.startswith("train") for name in splits)  # a test on few images may hold one class
    return shifted + [_one_class(name, seen, few) for name, seen in alone] + _absent(splits)


def suspicious(splits: Mapping[str, SeenValues]) -> set[str]:
    """Return the splits whose read masks are too few to decide whether they contradict the config."""
    return {
        name
        for name, seen in splits.items()
        if seen.masks and (seen.void_masks == seen.masks or one_class(splits, name) or _shift_is_open(splits, name))
    }


def _shift_is_open(splits: Mapping[str, SeenValues], name: str) -> bool:
    """Return whether more masks can show that ``reduce_zero_label`` is wrong; many masks of one class cannot."""
    if not last_is_missing(splits, name):
        return False
    classes = set(range(len(splits[name].scheme.classes)))
    return splits[name].masks < ENOUGH or classes <= set().union(*(seen.pixels for seen in splits.values()))


def one_class(splits: Mapping[str, SeenValues], name: str) -> bool:
    """Return whether training holds one class only or, for another split, all splits hold one class only."""
    training = name.startswith("train")
    compared = [seen for other, seen in splits.items() if other.startswith("train") or not training]
    held = set().union(*(seen.classes for seen in compared))
    return len(held) == 1 and bool(splits[name].classes) and len(splits[name].scheme.classes) > 1


def last_is_missing(splits: Mapping[str, SeenValues], name: str) -> bool:
    """Return whether ``reduce_zero_label`` makes 0 void here, while the last class is in no split."""
    scheme = splits[name].scheme
    last = len(scheme.classes) - 1
    shifts = scheme.reduce_zero_label and scheme.of(0) == VOID and scheme.of(last + 1) == last
    return shifts and 0 in splits[name].pixels and not any(last in seen.classes for seen in splits.values())


def _all_void(name: str, seen: SeenValues) -> Contradiction:
    values = listed(sorted(seen.pixels))
    zero = " (reduce_zero_label makes 0 void)" if seen.scheme.reduce_zero_label and 0 in seen.pixels else ""
    text = (
        f"none of {seen.masks:,} masks holds a class: their only values are {values}, void under this config{zero}, so "
        f"that nothing would be learned or scored; classes are {seen.scheme.allowed}"
    )
    return Contradiction("all void", name, text)


def _one_class(name: str, seen: SeenValues, few: bool) -> Contradiction:
    index = min(seen.classes)
    scheme = seen.scheme
    voids = sorted(v for v in seen.pixels if scheme.of(v) == VOID)
    void = f" {listed(voids)} {'is' if len(voids) == 1 else 'are'} void;" if voids else ""
    cure = "make masks that hold the other classes too"
    if 0 in voids and scheme.reduce_zero_label:
        cure = "if 0 is a class, set reduce_zero_label=False"
    elif voids:
        free = next(c for c in range(len(scheme.classes)) if c != index)
        value = next((v for v in range(len(scheme.labels)) if scheme.of(v) == free), free)
        name_of = f"class {free} ({scheme.classes[free]!r})"
        cure = f"if {voids[-1]} is {name_of}, store it as {value}: mask[mask == {voids[-1]}] = {value}"
    text = (
        f"{seen.masks:,} masks hold only {listed(sorted(seen.pixels))}:{void} class {index} "
        f"({scheme.classes[index]!r}) is the only one of {len(scheme.classes)} that is ever seen, and a network that "
        f"always answers it scores 100; {cure}"
    )
    return Contradiction("one class", name, text, certain=bool(voids) or not few)


def _shifted(splits: Mapping[str, SeenValues]) -> Contradiction:
    name, seen = next(iter(splits.items()))
    scheme = seen.scheme
    last = len(scheme.classes) - 1
    held = sorted({v for other in splits.values() for v in other.pixels if 0 <= v <= last})
    text = (
        f"reduce_zero_label makes 0 void and reads every other value as the class before it. Masks hold "
        f"{listed(held)} and in no split {last + 1}, the last class ({scheme.classes[last]!r}), as if they held class "
        "numbers from 0. If 0 is a class, set reduce_zero_label=False"
    )
    return Contradiction("shifted", name, text, certain=held == list(range(last + 1)))


def _absent(splits: Mapping[str, SeenValues]) -> list[Contradiction]:
    """Note the one class that is in no mask, if a void or missing value may be intended for it."""
    name, seen = next(iter(splits.items()))
    scheme, count = seen.scheme, len(seen.scheme.classes)
    if count < 3 or not all(other.complete and other.scheme.classes == scheme.classes for other in splits.values()):
        return []
    absent = set(range(count)).difference(*(other.classes for other in splits.values()))
    if len(absent) != 1:
        return []
    (index,) = absent
    what = f"class {index} ({scheme.classes[index]!r}) is in no split, all others are"
    if index == 0 and scheme.of(0) == 0:
        cure = f"if masks count from 1, set reduce_zero_label=True and name {count - 1} classes"
        return [Contradiction("absent", name, f"{what}: {cure}", certain=False)]
    voids = sorted({v for other in splits.values() for v in other.pixels if other.scheme.of(v) == VOID} - {0})
    value = next((v for v in range(len(scheme.labels)) if scheme.of(v) == index), index)
    cure = f"if {listed(voids)}, void here, is that class, store it as {value}"
    return [Contradiction("absent", name, f"{what}: {cure}", certain=False)] if voids else []
