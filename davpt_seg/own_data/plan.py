"""What new-dataset writes for a folder: the data part, lists of a split, and index masks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from ..datasets.pictures import read_picture
from ..errors import DataError
from ..image_names import check_utf8
from ..visualization.class_colours import default_palette
from .content import sizes_of
from .groups import INDEX_MASKS
from .layout import Layout
from .masks import Masks
from .named_splits import LISTS
from .pair import Pair
from .split import divided

BATCH = 8
HEAD = (
    "# A data set, written by 'davpt-seg new-dataset'. Plain values, nothing is run; docs/own_data.md explains them.\n"
)


@dataclass
class Plan:
    """Files of a data set, relative to its folder.

    Attributes:
        own: value of ``own_data``.
        splits: pairs by split.
        texts: content of the list files by path.
        masks: pair by path of the index mask to write; empty where the masks are used as they are.
        drawn: whether the split into training and validation was drawn.
    """

    own: dict[str, Any]
    splits: dict[str, list[Pair]]
    texts: dict[PurePath, str] = field(default_factory=dict)
    masks: dict[PurePath, Pair] = field(default_factory=dict)
    drawn: bool = False

    @property
    def text(self) -> str:
        """Return the data part's text."""
        lines = [
            HEAD,
            "own_data = dict(\n",
            *(f"    {key}={_written(value)},\n" for key, value in self.own.items()),
            ")\n",
        ]
        return "".join(lines)

    @property
    def needs_files(self) -> bool:
        """Return whether lists or masks must be written for the data part to work."""
        return bool(self.texts or self.masks)


def plan(layout: Layout, masks: Masks, seed: int) -> Plan:
    """Decide what is written.

    Args:
        layout: images and masks.
        masks: what the masks hold.
        seed: seed of the split, where the folder has none.

    Raises:
        DataError: too few images for a split.
    """
    splits = {name: pairs for name, pairs in layout.pairs.items() if name in ("train", "val", "test")}
    drawn = "train" not in splits or not splits.keys() & {"val"}
    if drawn:
        others = [pair for name, pairs in layout.pairs.items() if name != "test" for pair in pairs]
        source = splits.get("train") or others or layout.all_pairs
        train, val = divided(source, seed, str(layout.root))
        splits = {**({"test": splits["test"]} if "test" in splits else {}), "train": train, "val": val}
    splits = {name: splits[name] for name in ("train", "val", "test") if name in splits}
    every = [pair for pairs in splits.values() for pair in pairs]
    _check_names(every, str(layout.root))
    image_end, mask_end = _end([pair.image for pair in every]), _end([pair.mask for pair in every])
    if any(_stem(pair.image, image_end)[-1:].isspace() for pair in every):
        image_end = ""  # a list's lines are read without blanks around them
    writes = masks.table is not None or not image_end or not _parallel(splits, image_end, mask_end)
    colours = masks.colours
    palette = [colour[0] for colour in colours] if colours else default_palette(len(masks.names))
    own: dict[str, Any] = dict(classes=masks.names, palette=tuple(palette), image_suffix=image_end)
    own["mask_suffix"] = ".png" if writes else mask_end
    result = Plan(own, splits, drawn=drawn)
    for name, pairs in splits.items():
        images = _parent([pair.image for pair in pairs])
        folder = PurePath(INDEX_MASKS) / images if writes else _parent([pair.mask for pair in pairs])
        names = [_stem(pair.image, image_end) for pair in pairs]
        entry = dict(images=images.as_posix(), masks=folder.as_posix())
        if (
            (drawn and name != "test")
            or not image_end
            or _listing(layout.root / images, image_end)
            != sorted(os.path.relpath(pair.image, images) for pair in pairs)
        ):
            entry["list"] = f"{LISTS}/{name}.txt"
            lines = [os.path.relpath(each, images).replace(os.sep, "/") for each in names]
            result.texts[PurePath(entry["list"])] = "".join(f"{line}\n" for line in lines)
        if writes:
            result.masks.update({PurePath(INDEX_MASKS) / f"{each}.png": pair for each, pair in zip(names, pairs)})
        own[name] = entry
    if masks.zero_is_void and not writes:
        own["zero_is_void"] = True
    own["short_side"], own["crop"] = sizes_of(_short_side(layout.root, every))
    own["batch_size"] = BATCH
    return result


def _check_names(pairs: Sequence[Pair], where: str) -> None:
    """Refuse names that no line of a list can hold.

    Raises:
        DataError: a name begins with a blank, has a line break, or is not UTF-8.
    """
    for pair in pairs:
        text = pair.image.as_posix()
        check_utf8(pair.image, where)
        check_utf8(pair.mask, where)
        if pair.image.name[0].isspace() or text[0].isspace() or len(text.splitlines()) > 1:
            raise DataError(
                f"{where}: {text!r}: names must not begin with a blank or hold a line break; rename the file"
            )


def _end(paths: Sequence[PurePath]) -> str:
    """Return the end that all names have, from the ending on: ``_mask.png``; empty for different suffixes."""
    suffixes = {path.suffix for path in paths}
    if len(suffixes) > 1:
        return ""
    (suffix,) = suffixes
    stem = paths[0].stem
    places = (at for at, sign in enumerate(stem) if at and sign in "_-. " and stem[at + 1 : at + 2].isalpha())
    common = (stem[at:] for at in places if all(path.stem.endswith(stem[at:]) for path in paths))
    return ("" if len(paths) == 1 else next(common, "")) + suffix


def _stem(path: PurePath, end: str) -> str:
    text = path.as_posix()
    return text[: -len(end)] if end else text


def _parent(paths: Sequence[PurePath]) -> PurePath:
    return PurePath(os.path.commonpath([path.parent for path in paths]) if paths else ".")


def _parallel(splits: dict[str, list[Pair]], image_end: str, mask_end: str) -> bool:
    """Return whether images and masks have the same names below their folders."""
    if not mask_end:
        return False
    for pairs in splits.values():
        images, masks = _parent([pair.image for pair in pairs]), _parent([pair.mask for pair in pairs])
        for pair in pairs:
            image = os.path.relpath(_stem(pair.image, image_end), images)
            if image != os.path.relpath(_stem(pair.mask, mask_end), masks):
                return False
    return True


def _listing(folder: Path, end: str) -> list[str]:
    """List the files that mmseg's data set reads without a list: all below a folder that end so."""
    found = []
    for place, _, names in os.walk(folder, followlinks=True):
        found += [os.path.relpath(os.path.join(place, name), folder) for name in names if name.endswith(end)]
    return sorted(found)


def _short_side(root: Path, pairs: Sequence[Pair]) -> int:
    """Return the median of the images' shorter sides, of 50 images at most."""
    step = max(1, len(pairs) // 50)
    return int(np.median([min(read_picture(str(root / pair.image), False).size) for pair in pairs[::step]]))


def _written(value: Any) -> str:
    if isinstance(value, dict):
        return f"dict({', '.join(f'{key}={_written(each)}' for key, each in value.items())})"
    if isinstance(value, tuple) and len(repr(value)) <= 100:
        return f"({', '.join(map(_quoted, value))})"
    if isinstance(value, tuple):
        rows, row = [], ""
        for each in value:
            if len(row) + len(_quoted(each)) > 100:
                rows.append(row)
                row = ""
            row += f"{_quoted(each)}, "
        return "(\n        " + "\n        ".join(line.rstrip() for line in [*rows, row]) + "\n    )"
    return _quoted(value)


def _quoted(value: Any) -> str:
    if isinstance(value, str) and '"' not in value and "\\" not in value and value.isprintable():
        return f'"{value}"'
    return repr(value)
