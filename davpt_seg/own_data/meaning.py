"""Meaning of masks: what class each of their values or colours is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

import numpy as np

from ..audit.palettes import Palettes
from ..errors import DataError, some
from ..long_work import in_parallel
from .class_file import Classes, Colour
from .mask_files import CHANNELS, GRAY, PALETTE, RGB, Mask, read_mask
from .masks import VOID, Masks
from .pair import Pair
from .values import counted, of_values

STRAY = 0.01  # largest share of pixels with colours that no class has
MOST_COLOURS = 256  # of all masks; more are no class colours
SHOWN = 40


def read_masks(root: Path, pairs: Sequence[Pair], classes: Optional[Classes], void: Optional[int]) -> Masks:
    """Read every mask, and find out how it becomes class numbers.

    Args:
        root: the data set's folder.
        pairs: images and masks.
        classes: names of the classes; None to number them.
        void: value that is void beside 255.

    Raises:
        DataError: an unreadable file, an image and its mask of different sizes, or masks that cannot be understood.
    """
    read = list(in_parallel(lambda pair: read_mask(root, pair), pairs, 4, "masks"))
    wrong = [pair for pair, mask in zip(pairs, read) if mask.sizes[0] != mask.sizes[1]]
    if wrong:
        sizes = read[pairs.index(wrong[0])].sizes
        raise DataError(
            f"{root}: {len(wrong):,} of {len(pairs):,} masks differ in size from their images, for instance "
            f"{wrong[0].mask} ({sizes[1][0]} x {sizes[1][1]}) and {wrong[0].image} ({sizes[0][0]} x {sizes[0][1]}). "
            "Make the masks in the images' size, by nearest neighbour, or move these pairs away"
        )
    masks = _understood(root, pairs, read, classes, void)
    if len(masks.names) > VOID:
        raise DataError(
            f"{root}: {len(masks.names)} classes; new-dataset prepares up to {VOID}, since {VOID} is void. For more, "
            "write a data part by hand: docs/data.md, 'More than 255 classes'"
        )
    present = [name for number, name in enumerate(masks.names) if masks.pixels[number]]
    if len(present) < 2:
        raise DataError(
            f"{root}: all pixels of the masks are {some(present) or 'void'} or void, so that there is nothing to tell "
            "apart; expected are two classes at least. Are these the right masks, and the right names of classes?"
        )
    return masks


def _understood(
    root: Path, pairs: Sequence[Pair], read: Sequence[Mask], classes: Optional[Classes], void: Optional[int]
) -> Masks:
    kinds = Counter(mask.kind for mask in read)
    if RGB in kinds:
        return _of_colours(root, _as_colours(read), classes, "colours")
    if kinds[PALETTE] and _colours_decide(pairs, read, classes):
        return _of_colours(root, _as_colours(read), classes, "palettes that number colours differently")
    pixels: Counter[int] = sum((mask.values for mask in read), Counter())
    kind = next((each for each in (CHANNELS, PALETTE) if kinds[each]), GRAY)
    masks = of_values(root, pixels, classes, void, kind)
    if masks.table is None and kind == CHANNELS:  # training reads one channel
        shift = int(masks.zero_is_void)
        masks.table = {value: VOID if value < shift or value == VOID else value - shift for value in pixels}
        masks.zero_is_void = False
    return masks


def _colours_decide(pairs: Sequence[Pair], read: Sequence[Mask], classes: Optional[Classes]) -> bool:
    """Return whether the numbers of palette masks are to be replaced by what their colours mean.

    That is so where a colour has several numbers, or where all colours are named and mean other numbers.
    """
    palettes = Palettes()
    for pair, mask in zip(pairs, read):
        histogram = np.bincount([int(value) for value in mask.values], minlength=256)
        found = palettes.compare(pair.mask.as_posix(), mask.palette, histogram)
        if any(finding.kind == "palettes" for finding in found):
            return True
    if classes is None or classes.colours is None:
        return False
    meant = {colour: label for label, own in enumerate(classes.colours) for colour in own}
    meant.update(dict.fromkeys(classes.void, VOID))
    used = {(int(value), _colour_of(value, mask.palette)) for mask in read for value in mask.values}
    return all(colour in meant for _, colour in used) and any(meant[colour] != value for value, colour in used)


def _as_colours(read: Sequence[Mask]) -> Counter[Colour]:
    pixels: Counter[Colour] = Counter()
    for mask in read:
        for value, count in mask.values.items():
            pixels[_colour_of(value, mask.palette)] += count
    return pixels


def _colour_of(value: Any, palette: Optional[np.ndarray]) -> Colour:
    if isinstance(value, tuple):
        return value
    number = int(value)
    red, green, blue = palette[number].tolist() if palette is not None and number < len(palette) else [number] * 3
    return red, green, blue


def _of_colours(root: Path, pixels: Counter[Colour], classes: Optional[Classes], what: str) -> Masks:
    total = sum(pixels.values())
    if classes is None or classes.colours is None:
        shown = "\n".join(f"- NAME {' '.join(map(str, c))}  # {n / total:.2%}" for c, n in pixels.most_common(SHOWN))
        more = f"\n- and {len(pixels) - SHOWN:,} more" if len(pixels) > SHOWN else ""
        if len(pixels) > MOST_COLOURS:
            raise DataError(
                f"{root}: the masks have {len(pixels):,} colours, so colours were mixed along borders or the files are "
                "photographs. Expected is one colour for each class: make the masks again without smoothing, as PNG"
            )
        raise DataError(
            f"{root}: the masks are in {what}, and no colour says which class it is. Write a text file with one line "
            f"for each colour, NAME R G B (name void what is to be ignored), and give it by --classes-file, or name it "
            f"classes.txt in this folder. These are the colours, with their share of the pixels:\n{shown}{more}"
        )
    table: dict[Any, int] = {colour: VOID for colour in classes.void}
    table.update({colour: label for label, own in enumerate(classes.colours) for colour in own})
    stray = Counter({colour: n for colour, n in pixels.items() if colour not in table})
    share = sum(stray.values()) / total
    if share > STRAY:
        raise DataError(
            f"{root}: {share:.1%} of the masks' pixels have colours that {classes.source} does not name: "
            f"{some([c for c, _ in stray.most_common(10)], 10)}. Add them there, as NAME R G B, or as void R G B"
        )
    table.update(dict.fromkeys(stray, VOID))
    masks = Masks("palette" if what != "colours" else RGB, classes.names, table, colours=classes.colours)
    if stray:
        masks.notes.append(
            f"{share:.3%} of the pixels have colours that {classes.source} does not name: they become void"
        )
    masks.pixels = counted(pixels, table)
    return masks
