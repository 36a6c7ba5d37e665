"""Paste real handwritten digits onto real photographs: a small data set in ADE20K's layout.

Both come inside pip packages (scikit-learn's digits, scikit-image's photographs), so nothing is
downloaded. Masks hold 0 for background, 1..10 for the digits 0..9 and no void. Training and
validation share neither a photograph nor a digit.
"""

from __future__ import annotations

import argparse
import colorsys
import json
import shutil
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
import skimage
from PIL import Image
from rich.progress import track
from sklearn.datasets import load_digits

PHOTOS = {
    "training": "astronaut.png hubble_deep_field.jpg ihc.png motorcycle_left.png retina.jpg rocket.jpg",
    "validation": "chelsea.png coffee.png",
}
SAMPLES = {"training": slice(None, 1437), "validation": slice(1437, None)}  # of load_digits' 1797
CLASSES = ("background", *"0123456789")
HUES = [colorsys.hsv_to_rgb(digit / 10, 1 - 0.5 * (digit % 2), 1) for digit in range(10)]
OURS = {"images", "annotations", "preview.png", "scenes.json"}
RECIPE = 1  # stored with the settings: raise it when equal settings would draw other scenes


class Digit(NamedTuple):
    """A pasted digit: class 0..9, (8, 8) sample in 0..16, and its square box in pixels."""

    label: int
    sample: np.ndarray
    side: int
    top: int
    left: int


class Scene(NamedTuple):
    """An (H, W, 3) uint8 image, its (H, W) uint8 mask, and the digits in both."""

    image: np.ndarray
    mask: np.ndarray
    digits: list[Digit]


def digit_alpha(sample: np.ndarray, side: int) -> np.ndarray:
    """Upscale an (8, 8) digit in 0..16 to (side, side) coverage in 0..1; the mask is >= 0.5."""
    # Thin strokes peak well below 16 and would break. Ends touch the border, hence the ring.
    padded = np.pad((sample / 12).clip(0, 1), 1).astype(np.float32)
    soft = np.asarray(Image.fromarray(padded).resize((side, side), Image.Resampling.BICUBIC))
    # Steepening about 0.5 narrows the painted edge to two pixels or so and leaves the mask alone.
    return np.clip((soft - 0.5) * side / 10 + 0.5, 0, 1)


def random_crop(rng: np.random.Generator, photo: Image.Image, size: Sequence[int]) -> np.ndarray:
    """Cut a part of ``photo``, perhaps mirror it, and resize it to (H, W, 3) float32 in 0..255."""
    height, width = size
    scale = rng.uniform(0.5, 1) * min(photo.height / height, photo.width / width)
    left = rng.uniform(0, photo.width - scale * width)
    top = rng.uniform(0, photo.height - scale * height)
    box = (left, top, left + scale * width, top + scale * height)
    part = np.asarray(photo.resize((width, height), Image.Resampling.BICUBIC, box), np.float32)
    return part[:, :: rng.choice([-1, 1])].copy()


def place_boxes(rng: np.random.Generator, size: Sequence[int]) -> list[tuple[int, int, int]]:
    """Draw two to five disjoint squares of 48 to 90 pixels inside ``size``: (side, top, left)."""
    boxes: list[tuple[int, int, int]] = []
    # One large square in the middle can leave no room for a second: then start over.
    while len(boxes) < 2:
        boxes, taken = [], np.zeros(size, bool)
        for side in rng.integers(48, 91, 60).tolist():
            top, left = rng.integers(0, np.subtract(size, side) + 1).tolist()
            window = taken[top : top + side, left : left + side]
            if not window.any():
                window[:] = True
                boxes.append((side, top, left))
    return boxes[: rng.integers(2, 6)]


def contrasting_colour(rng: np.random.Generator, region: np.ndarray) -> np.ndarray:
    """Draw an RGB colour at least 100 away from four fifths of ``region``'s pixels."""
    while True:
        colour = rng.integers(0, 256, 3)
        if np.quantile(np.linalg.norm(region - colour, axis=-1), 0.2) >= 100:
            return colour


def scenes(split: str, count: int, seed: int, size: Sequence[int]) -> Iterator[Scene]:
    """Compose ``count`` scenes of ``size`` (H, W), in pixels.

    Raises:
        FileNotFoundError: If the installed scikit-image lacks one of the photographs.
    """
    rng = np.random.default_rng([seed, list(PHOTOS).index(split)])
    folder = Path(skimage.__file__).parent / "data"
    paths = [folder / name for name in PHOTOS[split].split()]
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(f"{path}: the wheel from PyPI has it; pip install scikit-image")
    photos = [Image.open(path).convert("RGB") for path in paths]
    bank = load_digits()
    samples, targets = bank.images[SAMPLES[split]], bank.target[SAMPLES[split]]
    deck: list[int] = []
    for _ in range(count):
        image = random_crop(rng, photos[rng.integers(len(photos))], size)
        mask, digits = np.zeros(size, np.uint8), []
        for side, top, left in place_boxes(rng, size):
            # Dealt from a deck, so five scenes of two digits or more hold every class.
            deck = deck or rng.permutation(10).tolist()
            label = deck.pop()
            digit = Digit(label, rng.choice(samples[targets == label]), side, top, left)
            digits.append(digit)
            alpha = digit_alpha(digit.sample, side)
            window = np.s_[top : top + side, left : left + side]
            paint = contrasting_colour(rng, image[window]) + rng.normal(0, 8, (side, side, 3))
            image[window] += alpha[..., None] * (paint - image[window])
            mask[window][alpha >= 0.5] = label + 1
        yield Scene(image.round().clip(0, 255).astype(np.uint8), mask, digits)


def write_split(folder: Path, split: str, count: int, seed: int, size: Sequence[int]) -> np.ndarray:
    """Write one split under ``folder``; return each class's share of the pixels, (11,)."""
    for kind in ("images", "annotations"):
        (folder / kind / split).mkdir(parents=True)
    pixels = np.zeros(len(CLASSES), np.int64)
    drawn = track(scenes(split, count, seed, size), description=split, total=count)
    for index, scene in enumerate(drawn):
        image_path = folder / "images" / split / f"{index:04d}.jpg"
        Image.fromarray(scene.image).save(image_path, quality=95)
        Image.fromarray(scene.mask).save(folder / "annotations" / split / f"{index:04d}.png")
        pixels += np.bincount(scene.mask.ravel(), minlength=len(CLASSES))
    return pixels / pixels.sum()


def write_preview(folder: Path, size: Sequence[int]) -> None:
    """Write ``preview.png``: two rows of training and one of validation, image | mask."""
    height, width = size
    palette = np.array([(0, 0, 0), *HUES])
    sheet = Image.new("RGB", (8 * width, 3 * height))
    masks = [sorted(folder.glob(f"annotations/{split}/*")) for split in PHOTOS]
    for index, path in enumerate(masks[0][:8] + masks[1][:4]):
        left, top = index % 4 * 2 * width, index // 4 * height
        image = folder / "images" / path.parent.name / f"{path.stem}.jpg"
        coloured = (255 * palette[np.asarray(Image.open(path))]).astype(np.uint8)
        sheet.paste(Image.open(image), (left, top))
        sheet.paste(Image.fromarray(coloured), (left + width, top))
    sheet.save(folder / "preview.png")


def is_built(out: Path, settings: dict[str, object]) -> bool:
    """Whether ``out`` holds these scenes already.

    Raises:
        SystemExit: If it holds something else.
    """
    if not out.exists() or not any(out.iterdir()):
        return False
    marker, advice = out / "scenes.json", "choose another --out, or replace it with --force"
    if not marker.exists():
        raise SystemExit(f"{out}: not empty, yet no finished build (no scenes.json); {advice}")
    found = json.loads(marker.read_text())["settings"]
    if found != settings:
        raise SystemExit(f"{out}: holds scenes made with {found}, not {settings}; {advice}")
    return True


def remove(folder: Path) -> None:
    """Delete an earlier build; SystemExit if ``folder`` holds anything that no build writes."""
    if folder.exists():
        foreign = sorted({path.name for path in folder.iterdir()} - OURS)
        if foreign:
            raise SystemExit(f"{folder}: not deleted, for it holds {foreign[0]}; use another --out")
        shutil.rmtree(folder)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line; ``argv`` defaults to ``sys.argv[1:]``."""
    parser = argparse.ArgumentParser(description=__doc__)
    out = Path("data/demo_scenes")
    parser.add_argument("--out", type=Path, default=out, help="folder; default: %(default)s")
    parser.add_argument("--train", type=int, default=240, help="scenes; default: %(default)s")
    parser.add_argument("--val", type=int, default=60, help="scenes; default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="equal seeds draw equal scenes")
    size, axes = [168, 224], ("HEIGHT", "WIDTH")
    parser.add_argument("--size", type=int, nargs=2, metavar=axes, default=size, help="default: 168 224")
    parser.add_argument("--force", action="store_true", help="replace what a build left in --out")
    args = parser.parse_args(argv)
    if min(args.train, args.val) < 5 or min(args.size) < 128:
        parser.error("needs --train and --val of 5 or more to hold every digit, and 128 pixels")

    out = args.out.resolve()
    settings = {name: getattr(args, name) for name in ("train", "val", "seed", "size")}
    settings["recipe"] = RECIPE
    if not args.force and is_built(out, settings):
        print(f"{out}: reused")
        return
    partial = out.with_name(f"{out.name}.partial")
    remove(partial)
    remove(out)
    train = write_split(partial, "training", args.train, args.seed, args.size)
    val = write_split(partial, "validation", args.val, args.seed, args.size)
    write_preview(partial, args.size)
    packages = ("numpy", "pillow", "scikit-image", "scikit-learn")
    record = {
        "settings": settings,
        "classes": CLASSES,
        "versions": {p: version(p) for p in packages},
    }
    (partial / "scenes.json").write_text(json.dumps(record, indent=2) + "\n")
    partial.rename(out)

    print(f"{'class':>12} {'train':>7} {'val':>7}  share of the pixels")
    for name, train_share, val_share in zip(CLASSES, train, val):
        print(f"{name:>12} {train_share:7.2%} {val_share:7.2%}")
    print(f"{out}: {args.train} + {args.val} scenes; look at {out / 'preview.png'}")


if __name__ == "__main__":
    main()
