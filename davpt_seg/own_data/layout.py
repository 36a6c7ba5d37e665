"""Pairs of images and masks in a folder, and its splits."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from ..datasets.split_names import split_of
from ..errors import DataError, some
from .groups import Group, colours_of, groups_of, image_files
from .named_splits import divide
from .pair import Pair

FEW_COLOURS = 64  # of masks; images have more
OVERLAP = 0.5  # smallest share of an image group's names that its masks must have
VOC_IMAGES = "JPEGImages"
VOC_MASKS = ("SegmentationClass", "SegmentationClassPNG")  # labelme writes the latter
EXPECTED = (
    "Expected are images and masks of the same names (masks as PNG or TIFF, never JPEG), in two folders (images/ and "
    "masks/), side by side with an ending (a.jpg and a_mask.png), or either of them below train/ and val/. Smoothed "
    "borders mix colours, so that masks look like photographs: save masks without smoothing"
)


@dataclass
class Layout:
    """What a folder holds.

    Attributes:
        root: the folder.
        pairs: pairs by split; the only key is empty if the folder has no splits.
        images, masks: titles of the groups that were paired.
        alone: images without mask, then masks without image.
        lists: list files of the folder that set the splits.
        notes: what else the user should know.
    """

    root: Path
    pairs: dict[str, list[Pair]]
    images: list[str]
    masks: list[str]
    alone: tuple[list[PurePath], list[PurePath]] = field(default_factory=lambda: ([], []))
    lists: list[PurePath] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def all_pairs(self) -> list[Pair]:
        """Return the pairs of all splits."""
        return [pair for pairs in self.pairs.values() for pair in pairs]


def look(root: Path, only_masks: str = "", only_images: str = "") -> Layout:
    """Find the images and masks of a folder.

    Args:
        root: the folder.
        only_masks: part of the path of the masks, where images have several kinds of them.
        only_images: part of the path of the images, where masks have several kinds of them.

    Raises:
        DataError: no folder, no images, no masks, or several kinds of masks or of images.
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
    like_images = [group for group in groups if only_images in group.title]
    if not like_images:
        raise DataError(f"{root}: --images {only_images}: no files match it; there are {_titles(groups)}")
    partners = _partners(like_images, like_masks, colours, root)
    if not partners:
        raise DataError(
            f"{root}: found {_titles(groups)}, of which {_titles(like_masks) or 'none'} can be masks (few colours, no "
            f"JPEG), but no images and masks of the same names. {EXPECTED}{_coco(root)}"
        )
    layout = Layout(root, {}, [], [])
    pairs: dict[str, list[Pair]] = {}
    for images, masks in partners:
        layout.images.append(images.title)
        layout.masks.append(masks.title)
        pairs.setdefault(split_of(images.folder), []).extend(
            Pair((images.folder / name).as_posix(), images.files[name], masks.files[name])
            for name in sorted(images.files.keys() & masks.files.keys())
        )
    used = {path for each in pairs.values() for pair in each for path in (pair.image, pair.mask)}
    paired = {group.title for _, group in partners}
    for group in groups:
        if group.title in paired or group not in like_masks:
            layout.alone[group.title in paired].extend(
                path for _, path in sorted(group.files.items()) if path not in used
            )
    division = divide(root, pairs)
    layout.pairs, layout.lists, layout.notes = division.pairs, division.lists, division.notes
    return layout


def _titles(groups: Sequence[Group]) -> str:
    return some([f"{len(group.files):,} {group.title}" for group in groups])


def _partners(
    groups: Sequence[Group], like_masks: Sequence[Group], colours: Mapping[str, float], root: Path
) -> list[tuple[Group, Group]]:
    """Pair groups of images with groups of masks, which have fewer colours, and not another split.

    Raises:
        DataError: several kinds of masks for the same images, or of images for the same masks.
    """
    found: list[tuple[Group, Group]] = []
    for images in _images(groups, colours):
        scored = []
        for masks in like_masks:
            if masks is images or colours[masks.title] > colours[images.title]:
                continue
            splits = {split_of(images.folder), split_of(masks.folder)} - {""}
            if len(splits) > 1:
                continue
            shared = len(images.files.keys() & masks.files.keys()) / min(len(images.files), len(masks.files))
            if shared >= OVERLAP:
                ending = masks.ending != "" and masks.ending == images.ending
                scored.append(((_nearness(images.folder, masks.folder), ending, shared), masks))
        if not scored:
            continue
        best = max(score for score, _ in scored)
        candidates = [masks for score, masks in scored if score == best]
        candidates = [masks for masks in candidates if masks.folder.name in VOC_MASKS] or candidates
        if len(candidates) > 1:
            raise DataError(
                f"{root}: {images.title} have {len(candidates)} kinds of masks, {_titles(candidates)}; choose one by "
                f"--masks and a part of its path, for instance --masks {candidates[0].ending or candidates[0].folder}"
            )
        found.append((images, candidates[0]))
    return _one_image_a_mask(found, root)


def _one_image_a_mask(partners: list[tuple[Group, Group]], root: Path) -> list[tuple[Group, Group]]:
    """Leave PASCAL VOC's images of several that have the same masks, such as images with masks drawn over them.

    Raises:
        DataError: several kinds of images have the same masks.
    """
    of_mask: dict[PurePath, list[Group]] = {}
    for images, masks in partners:
        for name in images.files.keys() & masks.files.keys():
            of_mask.setdefault(masks.files[name], []).append(images)
    left = set()
    for mask, several in of_mask.items():
        if len(several) == 1:
            continue
        named = [group for group in several if group.folder.name == VOC_IMAGES]
        if len(named) != 1:
            first = several[0]
            part = first.title.partition("*")[2] if several[1].folder == first.folder else f"{first.folder}/"
            raise DataError(
                f"{root}: {mask} and other masks have {len(several)} kinds of images, {_titles(several)}; choose one "
                f"by --images and a part of its path, for instance --images {shlex.quote(part)}, or move the others"
            )
        left |= {group.title for group in several if group is not named[0]}
    return [(images, masks) for images, masks in partners if images.title not in left]


def _images(groups: Sequence[Group], colours: Mapping[str, float]) -> list[Group]:
    """Return the groups that may be images: photographs and gray images; else drawings not named as masks are."""
    many = [group for group in groups if colours[group.title] > FEW_COLOURS]
    return many or [group for group in groups if not group.is_named_mask()]


def _nearness(images: PurePath, masks: PurePath) -> float:
    """Score how much two folders have in common; a shared split counts most."""
    same_split = split_of(images) == split_of(masks)
    shared = len(set(images.parts) & set(masks.parts))
    return 10 * same_split + shared - abs(len(images.parts) - len(masks.parts)) / 10


def _is_image_folder(files: Sequence[PurePath], groups: Sequence[Group], colours: Mapping[str, float]) -> bool:
    """Return whether a folder looks like classification: many folders of photographs, whose names do not pair."""
    folders = {path.parent for path in files}
    names = {path.stem for path in files}
    deep = {folder for folder in folders if folder.parts}
    return (
        len(deep) >= 2
        and any(not split_of(PurePath(folder.name)) for folder in deep)
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
                "image, for instance by pycocotools: mask[coco.annToMask(annotation) > 0] = annotation['category_id']. "
                f"To find objects, no masks are needed: data={shlex.quote(f'coco_folder:{root}')} (docs/detection.md)"
            )
    return ""


def _head(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(4096).decode("utf-8", "replace")
    except OSError:
        return ""
