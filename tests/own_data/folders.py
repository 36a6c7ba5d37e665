"""Folders of images and masks as users have them, with known labels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

COUNT, SIZE = 6, (48, 64)
NAMES = [f"img_{number:03d}" for number in range(COUNT)]
CLASSES = ("background", "cat", "dog")
COLOURS = np.array([(0, 0, 0), (255, 128, 0), (10, 20, 250)], np.uint8)
Layout = Callable[[str], tuple[str, str]]  # paths of image and mask, without suffix, of a name

LAYOUTS: dict[str, Layout] = {
    "two folders": lambda name: (f"images/{name}", f"masks/{name}"),
    "two folders of unknown names": lambda name: (f"a/{name}", f"b/{name}"),
    "an ending": lambda name: (f"photos/{name}", f"gt/{name}_L"),
    "two endings": lambda name: (f"x/{name}_leftImg8bit", f"y/{name}_gtFine_labelIds"),
    "side by side": lambda name: (name, f"{name}_mask"),
    "side by side, both with an ending": lambda name: (f"{name}-img", f"{name}-label"),
    "splits inside": lambda name: (f"images/{split_of(name)}/{name}", f"annotations/{split_of(name)}/{name}"),
    "splits outside": lambda name: (f"{split_of(name)}/images/{name}", f"{split_of(name)}/masks/{name}"),
    "splits of years": lambda name: (f"{split_of(name)}2017/{name}", f"annotations/{split_of(name)}2017/{name}"),
    "SegNet": lambda name: (f"{split_of(name)}/{name}", f"{split_of(name)}annot/{name}"),
    "deep": lambda name: (f"images/{name[-1]}/{name}", f"masks/{name[-1]}/{name}"),
}
SAME_SUFFIX = {"side by side, both with an ending", "two endings"}  # these images are PNG, as their masks


def split_of(name: str) -> str:
    """Return the split of an image: the last two are for validation."""
    return "val" if name in NAMES[-2:] else "train"


def labels_of(number: int, count: int = 3) -> np.ndarray:
    """Return labels (48, 64) of 8-pixel blocks, with some void."""
    rng = np.random.default_rng(number)
    values = np.array([*range(count), 255])
    blocks = rng.choice(values, size=(SIZE[0] // 8, SIZE[1] // 8), p=[0.9 / count] * count + [0.1])
    blocks[0, :count] = range(count)
    return blocks.repeat(8, axis=0).repeat(8, axis=1).astype(np.uint8)


def write_folder(
    root: Path,
    layout: Layout = LAYOUTS["two folders"],
    drawn: Callable[[np.ndarray], Image.Image] = Image.fromarray,
    suffix: Callable[[int], str] = lambda number: ".jpg",
    count: int = 3,
) -> Path:
    """Write six images, and masks as ``drawn`` makes them of labels."""
    for number, name in enumerate(NAMES):
        labels = labels_of(number, count)
        image, mask = layout(name)
        noise = np.random.default_rng(100 + number).integers(0, 256, (*SIZE, 3)).astype(np.uint8)
        for path, content in ((f"{image}{suffix(number)}", Image.fromarray(noise)), (f"{mask}.png", drawn(labels))):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            content.save(root / path)
    return root


def coloured(labels: np.ndarray) -> Image.Image:
    """Draw labels in colours; void is white."""
    return Image.fromarray(np.where(labels[..., None] == 255, 255, COLOURS[np.minimum(labels, 2)]).astype(np.uint8))


def own_palette(labels: np.ndarray) -> Image.Image:
    """Draw labels with a palette in the order in which this mask's colours come, as some programs do."""
    return coloured(labels).quantize(8, dither=Image.Dither.NONE)


def colour_file(root: Path) -> None:
    """Name the colours in the folder."""
    lines = [f"{name} {' '.join(map(str, colour))}\n" for name, colour in zip(CLASSES, COLOURS.tolist())]
    (root / "classes.txt").write_text("".join([*lines, "void 255 255 255\n"]))
