"""Report on a folder: what was found, as lines of text."""

from __future__ import annotations

from .layout import Layout
from .mask_files import CHANNELS, GRAY, PALETTE, RGB
from .masks import VOID, Masks
from .plan import Plan

KINDS = {
    GRAY: "one gray channel",
    CHANNELS: "gray in three channels",
    PALETTE: "class numbers with a palette",
    RGB: "colours (RGB)",
}
SHOWN = 3


def report(layout: Layout, masks: Masks, plan: Plan, seed: int) -> list[str]:
    """Return the lines: images, masks, splits, classes with their share of the pixels, and notes."""
    pairs = layout.all_pairs
    counts = ", ".join(f"{name} {len(each):,}" for name, each in plan.splits.items())
    origin = f"drawn with seed {seed}" if plan.drawn else "of the folder's lists" if layout.lists else "of the folders"
    lines = [
        f"{layout.root}: {len(pairs):,} images with masks",
        f"  images: {'; '.join(dict.fromkeys(layout.images))}",
        f"  masks:  {'; '.join(dict.fromkeys(layout.masks))}: {KINDS[masks.kind]}"
        + (", to be written as class numbers" if plan.masks else ""),
        f"  splits: {counts} ({origin})",
    ]
    for paths, what in zip(layout.alone, ("images without mask are not used", "masks without image are not used")):
        if paths:
            shown = ", ".join(path.as_posix() for path in paths[:SHOWN])
            lines.append(f"  note: {len(paths):,} {what}: {shown}{', ...' if len(paths) > SHOWN else ''}")
    lines += [f"  note: {note}" for note in (*layout.notes, *masks.notes)]
    total = sum(masks.pixels.values())
    width = max(map(len, masks.names))
    lines.append(f"  {len(masks.names)} classes, with their share of the pixels:")
    for number, name in enumerate(masks.names):
        count = masks.pixels[number]
        lines.append(f"    {number:3d} {name:<{width}} {count / total:7.2%}" + ("" if count else "  in no mask"))
    if masks.pixels[VOID] and len(masks.names) <= VOID:
        lines.append(f"        {'(void)':<{width}} {masks.pixels[VOID] / total:7.2%}")
    return lines
