"""Pairs of images and masks in a folder, and its splits."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from ..errors import DataError, some
from ..text_files import read_text
from .groups import Group, colours_of, groups_of, image_files

SPLIT = re.compile(r"(?P<name>train|training|val|valid|validation|test|testing)(?:[_-]?\d{2,4})?", re.IGNORECASE)
NAMES = dict(training="train", valid="val", validation="val", testing="test")
FEW_COLOURS = 64  # of masks; images have more
OVERLAP = 0.5  # smallest share of an image group's names that its masks must have
EXPECTED = (
    "Expected are images and masks of the same names (masks as PNG or TIFF, never JPEG), in two folders (images/ and "
    "masks/), side by side with an ending (a.jpg and a_mask.png), or either of them below train/ and val/"
)


@dataclass(frozen=True)
class Pair:
    """An image and its mask, relative to the data set's folder; ``name`` is what the two have in common."""

    name: str
    image: PurePath
    mask: PurePath


@dataclass
class Layout:
    """What a folder holds.

    Attributes:
        root: the folder.
        pairs: pairs by split; the only key is empty if the folder has no splits.
        images, masks: titles of the groups that were paired.
        alone: images without mask, then masks without image.
        lists: list files of the folder that set the splits.
    """

    root: Path
    pairs: dict[str, list[Pair]]
    images: list[str]
    masks: list[str]
    alone: tuple[list[PurePath], list[PurePath]] = field(default_factory=lambda: ([], []))
    lists: list[PurePath] = field(default_factory=list)

    @property
    def all_pairs(self) -> list[Pair]:
        """Return the pairs of all splits."""
        return [pair for pairs in self.pairs.values() for pair in pairs]


def look(root: Path, only_masks: str = "") -> Layout:
    """Find the images and masks of a folder.

    Args:
        root: the folder.
        only_masks: part of the path of the masks, where images have several kinds of them.

    Raises:
        DataError: no folder, no images, no masks, or several kinds of masks.
    """
    if not root.is_dir():
        raise DataError(f"{root}: there is no such folder; give the folder that holds the images and masks")
    files = image_files(root)
    if not files:
        raise DataError(f"{root}: no image is below this folder. {EXPECTED}{_coco(root)}")
    groups = groups_of(files)
    colours = {group.title: colours_of(root, group) for group in groups}
    if _is_image_folder(files, groups, colours):
        raise DataError(
            f"{root}: found images in several folders, and no masks. If the folders are classes, this is image "
            f"classification, which needs no preparation: train with data=imagefolder:{root}. {EXPECTED}"
        )
    like_masks = [group for group in groups if colours[group.title] < math.inf]
    if only_masks:
        like_masks = [group for group in groups if only_masks in group.title]
        if not like_masks:
            raise DataError(f"{root}: --masks {only_masks}: no files match it; there are {_titles(groups)}")
    partners = _partners(groups, like_masks, colours, root)
    if not partners:
        raise DataError(
            f"{root}: found {_titles(groups)}, of which {_titles(like_masks) or 'none'} can be masks (few colours, no "
            f"JPEG), but no images and masks of the same names. {EXPECTED}{_coco(root)}"
        )
    layout = Layout(root, {}, [], [])
    for images, masks in partners:
        layout.images.append(images.title)
        layout.masks.append(masks.title)
        both = sorted(images.files.keys() & masks.files.keys())
        split = _split_of(images.folder)
        layout.pairs.setdefault(split, []).extend(
            Pair((images.folder / name).as_posix(), images.files[name], masks.files[name]) for name in both
        )
        layout.alone[0].extend(images.files[name] for name in sorted(images.files.keys() - masks.files.keys()))
        layout.alone[1].extend(masks.files[name] for name in sorted(masks.files.keys() - images.files.keys()))
    used = {group.title for pair in partners for group in pair}
    layout.alone[0].extend(path for group in groups if group.title not in used and group not in like_masks
                           for path in group.files.values())  # fmt: skip
    return _with_splits(layout)


def _titles(groups: Sequence[Group]) -> str:
    return some([f"{len(group.files):,} {group.title}" for group in groups])


def _partners(
    groups: Sequence[Group], like_masks: Sequence[Group], colours: Mapping[str, float], root: Path
) -> list[tuple[Group, Group]]:
    """Pair groups of images with groups of masks, which have fewer colours.

    Raises:
        DataError: several kinds of masks for the same images.
    """
    found = []
    for images in _images(groups, colours):
        scored = []
        for masks in like_masks:
            if masks is images or colours[masks.title] > colours[images.title]:
                continue
            shared = len(images.files.keys() & masks.files.keys()) / min(len(images.files), len(masks.files))
            if shared >= OVERLAP:
                scored.append(((_nearness(images.folder, masks.folder), shared), masks))
        if not scored:
            continue
        best = max(score for score, _ in scored)
        candidates = [masks for score, masks in scored if score == best]
        named = [masks for masks in candidates if masks.folder.name == "SegmentationClass"]
        candidates = named or candidates
        if len(candidates) > 1:
            raise DataError(
                f"{root}: {images.title} have {len(candidates)} kinds of masks, {_titles(candidates)}; choose one by "
                f"--masks and a part of its path, for instance --masks {candidates[0].ending or candidates[0].folder}"
            )
        found.append((images, candidates[0]))
    return found


def _images(groups: Sequence[Group], colours: Mapping[str, float]) -> list[Group]:
    """Return the groups that may be images: photographs and gray images; else drawings not named as masks are."""
    many = [group for group in groups if colours[group.title] > FEW_COLOURS]
    return many or [group for group in groups if not group.is_named_mask()]


def _nearness(images: PurePath, masks: PurePath) -> float:
    """Score how much two folders have in common; a shared split counts most."""
    same_split = _split_of(images) == _split_of(masks)
    shared = len(set(images.parts) & set(masks.parts))
    return 10 * same_split + shared - abs(len(images.parts) - len(masks.parts)) / 10


def _split_of(folder: PurePath) -> str:
    """Return the split that a folder's name states; empty if none. SegNet's ``trainannot`` states ``train``."""
    for part in folder.parts:
        for text in (part, re.sub(r"[_-]?(annot|annotations?|labels?|masks?|images?|gt)$", "", part, flags=re.I)):
            found = SPLIT.fullmatch(text)
            if found:
                name = found["name"].lower()
                return NAMES.get(name, name)
    return ""


def _with_splits(layout: Layout) -> Layout:
    """Name the splits: those of folders, of list files, or none."""
    if "train" in layout.pairs and len(layout.pairs) > 1 and "" not in layout.pairs:
        return layout
    pairs = sorted(layout.all_pairs, key=lambda pair: pair.name)
    by_name: dict[str, Pair] = {PurePath(pair.name).name: pair for pair in pairs}
    for folder in _folders_of_lists(layout.root):
        chosen = {}
        for split in ("train", "val", "test"):
            path = folder / f"{split}.txt"
            if path.is_file():
                chosen[split] = (path, [PurePath(line.split()[0]).name.rsplit(".", 1)[0]
                                        for line in _lines(path)])  # fmt: skip
        known = {split: [name for name in names if name in by_name] for split, (_, names) in chosen.items()}
        if all(known.get(split) for split in ("train", "val")):
            layout.pairs = {split: [by_name[name] for name in names] for split, names in known.items() if names}
            layout.lists = [PurePath(os.path.relpath(path, layout.root)) for path, _ in chosen.values()]
            return layout
    layout.pairs = {"": pairs}
    return layout


def _lines(path: Path) -> list[str]:
    return [line for line in read_text(path).splitlines() if line.strip()]


def _folders_of_lists(root: Path) -> list[Path]:
    """Return the folders with a ``train.txt`` and a ``val.txt``; those of segmentation first, then the shortest."""
    there = [path.parent for path in root.rglob("train.txt") if (path.parent / "val.txt").is_file()]
    there = [folder for folder in there if folder != root / "splits"]  # those of new-dataset
    return sorted(there, key=lambda folder: ("egmentation" not in folder.name, len(folder.parts), str(folder)))


def _is_image_folder(files: Sequence[PurePath], groups: Sequence[Group], colours: Mapping[str, float]) -> bool:
    """Return whether a folder looks like classification: many folders of photographs, whose names do not pair."""
    folders = {path.parent for path in files}
    names = {path.stem for path in files}
    deep = {folder for folder in folders if folder.parts}
    return (
        len(deep) >= 2
        and any(not _split_of(PurePath(folder.name)) for folder in deep)
        and deep == folders
        and (len(names) == len(files) or len(deep) > 2)
        and not any(group.is_named_mask() for group in groups)
        and not any(colours[group.title] <= FEW_COLOURS for group in groups)
    )


def _coco(root: Path) -> str:
    """Return advice for COCO's polygons in JSON."""
    for path in sorted(root.rglob("*.json"))[:20]:
        head = _head(path)
        if '"annotations"' in head or '"segmentation"' in head or '"images"' in head:
            return (
                f". {path.relative_to(root)} looks like COCO's polygons: draw them as masks first, one PNG for each "
                "image, for instance by pycocotools: mask[coco.annToMask(annotation) > 0] = annotation['category_id']"
            )
    return ""


def _head(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(4096).decode("utf-8", "replace")
    except OSError:
        return ""
