"""Paste pieces of real photographs onto others: a small segmentation data set in ADE20K's layout.

The photographs come with pip packages (scikit-image, scikit-learn), so nothing is downloaded. Each photograph is a
class; every pixel has a class, and there is no void. Training uses the left 60 % of each photograph, validation the
right 40 %. The pieces are also objects for detectors: annotations/training.json and validation.json, in COCO's format.
"""

from __future__ import annotations

import colorsys
import json
import shutil
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple, Optional

import numpy as np
import skimage
import sklearn.datasets
from PIL import Image
from rich.progress import track
from skimage.draw import ellipse

from davpt_seg.errors import InputError
from davpt_seg.terminal.ending import command
from davpt_seg.terminal.parser import CommandParser

PHOTOS = {
    "brick": "brick.png",
    "cat": "chelsea.png",
    "grass": "grass.png",
    "galaxies": "hubble_deep_field.jpg",
    "motorcycle": "motorcycle_left.png",
    "retina": "retina.jpg",
    "rocket": "rocket.jpg",
    "tissue": "ihc.png",
    "temple": "china.jpg",
    "flower": "flower.jpg",
}
CLASSES = tuple(PHOTOS)
COLUMNS = {"training": (0.0, 0.6), "validation": (0.6, 1.0)}  # part of each photograph for a split
HUES = [colorsys.hsv_to_rgb(c / 10, 1 - 0.5 * (c % 2), 1) for c in range(len(CLASSES))]
OURS = {"images", "annotations", "preview.png", "scenes.json"}
RECIPE = 4  # stored with the settings; increase it when equal settings would draw other scenes


class Scene(NamedTuple):
    """Image (H, W, 3) uint8, its mask (H, W) uint8, and the crop of each class in it."""

    image: np.ndarray
    mask: np.ndarray
    pictures: dict[int, np.ndarray]


def load_photos(split: str) -> list[Image.Image]:
    """Load the part of each class's photograph for a split.

    Raises:
        FileNotFoundError: the installed packages lack one.
    """
    folders = [Path(skimage.__file__).parent / "data", Path(sklearn.datasets.__file__).parent / "images"]
    photos = []
    for name in PHOTOS.values():
        paths = [folder / name for folder in folders if (folder / name).exists()]
        if not paths:
            raise FileNotFoundError(f"{name}: neither in {folders[0]} nor in {folders[1]}; pip install both from PyPI")
        photo = Image.open(paths[0]).convert("RGB")
        left, right = (round(share * photo.width) for share in COLUMNS[split])
        photos.append(photo.crop((left, 0, right, photo.height)))
    return photos


def random_crop(rng: np.random.Generator, photo: Image.Image, size: Sequence[int]) -> np.ndarray:
    """Cut a part of ``photo``, perhaps mirror it, and resize it to (H, W, 3) uint8."""
    height, width = size
    scale = rng.uniform(0.5, 1) * min(photo.height / height, photo.width / width)
    left = rng.uniform(0, photo.width - scale * width)
    top = rng.uniform(0, photo.height - scale * height)
    box = (left, top, left + scale * width, top + scale * height)
    part = np.asarray(photo.resize((width, height), Image.Resampling.BICUBIC, box))
    return part[:, :: rng.choice([-1, 1])]


def scenes(split: str, count: int, seed: int, size: Sequence[int]) -> Iterator[Scene]:
    """Yield ``count`` scenes of ``size`` (H, W) pixels: a photograph with two to four ellipses of others on it."""
    rng = np.random.default_rng([seed, list(COLUMNS).index(split)])
    photos = load_photos(split)
    short = min(size)
    deck: list[int] = []
    for _ in range(count):
        # Classes are drawn in rounds, so that a few scenes hold every class.
        while len(deck) < 5:
            deck += [c for c in rng.permutation(len(CLASSES)).tolist() if c not in deck[-5:]]
        labels = [deck.pop(0) for _ in range(rng.integers(3, 6))]
        pictures = {label: random_crop(rng, photos[label], size) for label in labels}
        image, mask = pictures[labels[0]].copy(), np.full(size, labels[0], np.uint8)
        for label in labels[1:]:
            centre = rng.uniform(0.15, 0.85, 2) * size
            radii = rng.uniform(0.15, 0.35, 2) * short
            inside = ellipse(*centre, *radii, shape=size, rotation=rng.uniform(-np.pi, np.pi))
            image[inside], mask[inside] = pictures[label][inside], label
        yield Scene(image, mask, pictures)


def run_lengths(inside: np.ndarray) -> list[int]:
    """Return COCO's run lengths of a mask (H, W), bool: columns from left to right, beginning with what is outside."""
    pixels = inside.ravel(order="F")
    changes = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    lengths = np.diff(np.concatenate([[0], changes, [pixels.size]])).tolist()
    return [0, *lengths] if pixels[0] else lengths


def objects(scene: Scene) -> Iterator[dict[str, object]]:
    """Yield COCO's annotation of the visible part of each piece on a scene; a hidden piece has none."""
    for label in list(scene.pictures)[1:]:  # the first is the background
        inside = scene.mask == label
        if inside.any():
            rows, columns = (np.flatnonzero(inside.any(axis)) for axis in (1, 0))
            top, left, height, width = rows[0], columns[0], np.ptp(rows) + 1, np.ptp(columns) + 1
            yield {
                "category_id": label + 1,
                "bbox": [int(edge) for edge in (left, top, width, height)],
                "area": int(inside.sum()),
                "iscrowd": 0,
                "segmentation": {"size": list(inside.shape), "counts": run_lengths(inside)},
            }


def write_split(folder: Path, split: str, count: int, seed: int, size: Sequence[int]) -> np.ndarray:
    """Write one split under ``folder``; return each class's share of the pixels, (10,)."""
    for kind in ("images", "annotations"):
        (folder / kind / split).mkdir(parents=True)
    pixels = np.zeros(len(CLASSES), np.int64)
    images: list[dict[str, object]] = []
    annotations: list[dict[str, object]] = []
    drawn = track(scenes(split, count, seed, size), description=split, total=count)
    for index, scene in enumerate(drawn):
        image_path = folder / "images" / split / f"{index:04d}.jpg"
        Image.fromarray(scene.image).save(image_path, quality=95)
        Image.fromarray(scene.mask).save(folder / "annotations" / split / f"{index:04d}.png")
        pixels += np.bincount(scene.mask.ravel(), minlength=len(CLASSES))
        images.append({"id": index + 1, "file_name": image_path.name, "height": size[0], "width": size[1]})
        for each in objects(scene):
            annotations.append({"id": len(annotations) + 1, "image_id": index + 1, **each})
    categories = [{"id": number, "name": name} for number, name in enumerate(CLASSES, 1)]
    coco = {"images": images, "categories": categories, "annotations": annotations}
    (folder / "annotations" / f"{split}.json").write_text(json.dumps(coco) + "\n")
    return pixels / pixels.sum()


def write_preview(folder: Path, size: Sequence[int]) -> None:
    """Write ``preview.png``: two rows of training and one of validation, image | mask."""
    height, width = size
    palette = np.array(HUES)
    sheet = Image.new("RGB", (8 * width, 3 * height))
    masks = [sorted(folder.glob(f"annotations/{split}/*.png")) for split in COLUMNS]
    for index, path in enumerate(masks[0][:8] + masks[1][:4]):
        left, top = index % 4 * 2 * width, index // 4 * height
        image = folder / "images" / path.parent.name / f"{path.stem}.jpg"
        coloured = (255 * palette[np.asarray(Image.open(path))]).astype(np.uint8)
        sheet.paste(Image.open(image), (left, top))
        sheet.paste(Image.fromarray(coloured), (left + width, top))
    sheet.save(folder / "preview.png")


def is_built(out: Path, settings: dict[str, object]) -> bool:
    """Return whether ``out`` already holds these scenes.

    Raises:
        SystemExit: it holds something else.
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
    """Delete an earlier build; InputError if ``folder`` holds files that no build writes."""
    if folder.exists():
        foreign = sorted({path.name for path in folder.iterdir()} - OURS)
        if foreign:
            raise InputError(f"{folder}: not deleted, because it holds {foreign[0]}; use another --out")
        shutil.rmtree(folder)


@command
def main(argv: Optional[Sequence[str]] = None) -> None:
    """Run the command line; ``argv`` defaults to ``sys.argv[1:]``."""
    parser = CommandParser(description=__doc__)
    out = Path("data/demo_scenes")
    parser.add_argument("--out", type=Path, default=out, help="folder; default: %(default)s")
    parser.add_argument("--train", type=int, default=240, help="scenes; default: %(default)s")
    parser.add_argument("--val", type=int, default=60, help="scenes; default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="equal seeds draw equal scenes")
    size, axes = [168, 224], ("HEIGHT", "WIDTH")
    parser.add_argument("--size", type=int, nargs=2, metavar=axes, default=size, help="default: 168 224")
    parser.add_argument("--force", action="store_true", help="replace an earlier build in --out")
    args = parser.parse_args(argv)
    if min(args.train, args.val) < 5 or min(args.size) < 128:
        raise InputError("needs --train and --val of 5 or more to hold every class, and 128 pixels")

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
