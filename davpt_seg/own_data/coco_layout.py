"""Search for the annotation files and images of a folder in COCO's format."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from ..audit.coco.coco_file import CocoFile, form_findings, read_coco
from ..audit.coco.image_places import folder_of_images
from ..audit.coco.mask_findings import without_masks
from ..errors import DataError, some

ROBOFLOW = "_annotations.coco.json"
SPLITS = {  # names of splits in files and folders
    **dict.fromkeys(("train", "training", "trainset"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing", "testset"), "test"),
}
OTHER_TASKS = ("captions", "person_keypoints", "stuff", "panoptic", "image_info")  # further files of COCO
LAYOUTS = (
    "expected is annotations/instances_train.json and instances_val.json with train/ and val/ (as COCO), "
    "train/_annotations.coco.json and valid/_annotations.coco.json beside their images (as Roboflow), or train.json "
    "and val.json, with the images anywhere in the folder"
)


class Split(NamedTuple):
    """Annotation file of a split, read: what its data part needs of it.

    Attributes:
        ann_file: path.
        images: folder of the images.
        categories: name by id, in the order of the file.
        parents: names of supercategories.
        used: ids of the categories with annotations.
        sides: longer side of each image, in pixels.
        annotations: number of them.
        without_masks: number of annotations without a mask.
    """

    ann_file: Path
    images: Path
    categories: tuple[tuple[int, str], ...]
    parents: frozenset[str]
    used: frozenset[int]
    sides: tuple[float, ...]
    annotations: int
    without_masks: int


def look_for_coco(root: Path) -> dict[str, Split]:
    """Return the splits of a folder: ``train``, and perhaps ``val`` and ``test``.

    Raises:
        DataError: no training file, several for a split, or a file that cannot be used.
    """
    found = annotation_files(root)
    return {split: _read(root, path, path.stat().st_mtime_ns) for split, path in found.items()}


def annotation_files(root: Path) -> dict[str, Path]:
    """Return the annotation files of a folder by split; a single file is for training.

    Raises:
        DataError: none for training, or several for a split.
    """
    named: dict[str, list[Path]] = {}
    for path in sorted(root.glob(f"*/{ROBOFLOW}")):
        named.setdefault(_split_of(path.parent.name), []).append(path)
    loose = [] if named else _json_files(root)
    for path in loose:
        named.setdefault(_split_of(path.stem), []).append(path)
    others = named.pop("", [])
    if not named and len(others) == 1:
        return {"train": others[0]}
    for split, paths in named.items():
        instances = [path for path in paths if path.name.startswith("instances")]
        if len(instances or paths) > 1:
            raise DataError(
                f"{root} has {len(paths)} annotation files for {split}, {some(_relative(paths, root))}; keep one, or "
                "write a data part with the file in ann_file (configs/_base_/datasets/coco.py is an example)"
            )
        named[split] = instances or paths
    if "train" not in named:
        there = some(_relative([*others, *(path for paths in named.values() for path in paths)], root))
        raise DataError(f"{root} has no annotation file for training, but {there or 'no .json file'}; {LAYOUTS}")
    return {split: named[split][0] for split in ("train", "val", "test") if split in named}


def _json_files(root: Path) -> list[Path]:
    """List the JSON files that may be annotations: those in the folder of annotations, else in the folder itself."""
    places = [root / "annotations", root / "Annotations", root / "labels", root]
    files = ([path for path in sorted(place.glob("*.json"))] for place in places if place.is_dir())
    mine = ([path for path in paths if not path.name.startswith((*OTHER_TASKS, "."))] for paths in files)
    return next((paths for paths in mine if paths), [])


def _split_of(name: str) -> str:
    """Return the split that a name of a file or folder states; empty if it states none."""
    words = re.findall(r"[a-z]+", name.lower())
    return next((SPLITS[word] for word in words if word in SPLITS), "")


def _relative(paths: Sequence[Path], root: Path) -> list[str]:
    return [path.relative_to(root).as_posix() for path in paths]


@lru_cache(maxsize=8)
def _read(root: Path, path: Path, changed: int) -> Split:
    """Read an annotation file; ``changed`` is the time of its last change."""
    coco = read_coco(str(path))
    wrong = form_findings(coco, evaluated=False)
    if wrong:
        raise DataError(f"{path}: {wrong[0].path} {wrong[0].detail}; fix it, or export the file again as COCO")
    if not coco.images:
        raise DataError(f"{path} lists no image")
    return Split(
        path,
        images_of(root, path, coco),
        tuple((category["id"], category["name"]) for category in coco.categories),
        coco.parents,
        frozenset(annotation["category_id"] for annotation in coco.annotations),
        tuple(max(image["width"], image["height"]) for image in coco.images),
        len(coco.used),
        without_masks(coco),
    )


def images_of(root: Path, path: Path, coco: CocoFile) -> Path:
    """Return the folder of an annotation file's images: one named like the split, or any with most of them.

    Args:
        root: folder that is searched.
        path: the annotation file.
        coco: its content.

    Raises:
        DataError: no folder has any of them, or several have the same number.
    """
    split = _split_of(path.parent.name if path.name == ROBOFLOW else path.stem)
    names = [name for name, meaning in SPLITS.items() if meaning == split]
    name = path.stem.rpartition("_")[2]  # train2017
    folders = [path.parent] if path.name == ROBOFLOW else []
    folders += [place / each for each in (name, *names) for place in (root, root / "images")]
    listed = [image.get("file_name") for image in coco.images if isinstance(image, dict)]
    names_of_images = [each for each in listed if isinstance(each, str)]
    there = folder_of_images(names_of_images, map(str, [*folders, root / "images", path.parent]), str(root))
    if not there:
        raise DataError(
            f"{path}: no folder in {root} has its images, {some(names_of_images, 3)}; put them there, or fix file_name"
        )
    return Path(there)
