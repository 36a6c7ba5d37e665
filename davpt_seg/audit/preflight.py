"""Check for missing folders and masks and for empty files, before training."""

from __future__ import annotations

import os.path as osp
from collections.abc import Iterator
from typing import Any, Optional

from mmengine.config import ConfigDict
from mmengine.registry import DATASETS as ALL_DATASETS

from ..datasets.recognition import RecognitionDataset
from ..datasets.roots import about_root
from ..errors import DataError
from ..terminal.program import program
from ..text_files import has_mark, read_text
from .coco.check_coco import check_coco
from .coco.coco_source import coco_source
from .data_check import STRICT, DataCheck
from .depth import check_depth
from .preflight_exif import check_orientation, read_headers
from .preflight_files import file_size, refuse_damaged, refuse_strays, renamed
from .stray_files import hidden_images, listed_twice, other_suffixes, stray_files

LONGEST = 1000  # letters of a path in a list
OPTION = "--cfg-options {train,val,test}_dataloader.dataset.data_root=PATH"
ADVICE = (
    "check data_root (our configs take it from ADE20K_ROOT, PASCAL_CONTEXT_ROOT or CAMVID_ROOT, see docs/data.md), or "
    f"set it: {OPTION}"
)


def root_advice(data_root: Optional[str]) -> str:
    """Describe what sets ``data_root``, and what to do where it is wrong."""
    about = about_root(data_root or "")
    return f"check data_root: {about}, or name the folder by {OPTION}" if about else ADVICE


def open_dataset(config: ConfigDict) -> Optional[Any]:
    """Open a data set of mmseg or of ours without reading its list, and check its folders.

    Args:
        config: config of the data set, or of a wrapper around one.

    Returns:
        A lazy ``BaseSegDataset`` or ``RecognitionDataset``; None for other kinds.

    Raises:
        DataError: a missing folder or list, or a list that mmseg would misunderstand.
    """
    config = unwrapped(config)
    arguments: dict[str, Any] = {key: value for key, value in config.items() if key not in ("type", "pipeline")}
    recognition = recognition_kind(config)
    if recognition:
        return recognition(**{**arguments, "lazy_init": True})
    from mmseg.datasets import BaseSegDataset
    from mmseg.registry import DATASETS

    kind = DATASETS.get(config["type"]) if isinstance(config["type"], str) else config["type"]
    if kind is None or not issubclass(kind, BaseSegDataset):
        return None
    try:
        dataset = kind(**{**arguments, "lazy_init": True})
    except AssertionError as error:  # some of mmseg's data sets check their paths themselves, in silence
        prefixes = arguments.get("data_prefix") or {}
        names = ", ".join(repr(each) for each in (*prefixes.values(), arguments.get("ann_file")) if each)
        where = f"one of {names} in {arguments.get('data_root')!r}"
        raise DataError(
            f"data set {kind.__name__}: {where} does not exist; {root_advice(arguments.get('data_root'))}"
        ) from error
    for what, folder in dataset.data_prefix.items():
        if folder and not osp.isdir(folder):
            raise DataError(
                f"{whereabouts(dataset)}: {what} folder {folder!r} does not exist; {root_advice(dataset.data_root)}"
            )
    if dataset.ann_file and not osp.exists(dataset.ann_file):
        raise DataError(
            f"{whereabouts(dataset)}: ann_file {dataset.ann_file!r} does not exist; {root_advice(dataset.data_root)}"
        )
    if dataset.ann_file:
        _check_list(dataset.ann_file)
    return dataset


def _check_list(path: str) -> None:
    """Refuse a list of mmseg's that its reader would not understand: each line must be a name.

    Raises:
        DataError: another encoding than UTF-8, a byte-order mark, a blank line, or one that is too long.
    """
    lines = read_text(path).split("\n")
    if has_mark(path):
        raise DataError(
            f"{path} starts with a byte-order mark, which mmseg takes for a part of the first name; save it as UTF-8 "
            f"without one, or: sed -i '1s/^\\xEF\\xBB\\xBF//' {path}"
        )
    long = next((n for n, line in enumerate(lines, start=1) if len(line) > LONGEST), 0)
    if long:
        raise DataError(
            f"{path}, line {long}, has {len(lines[long - 1]):,} letters; each line must be the name of an image, of "
            f"{LONGEST} letters at most"
        )
    names = [number for number, line in enumerate(lines, start=1) if line.strip()]
    blank = next((n for n, line in enumerate(lines[:-1], start=1) if not line.strip()), 0) if names else 0
    if blank:
        raise DataError(f"{path}, line {blank}, is blank; each line must be the name of an image: delete it")


def unwrapped(config: Any) -> Any:
    """Return the config of the data set inside wrappers such as RandomSubset and RepeatDataset."""
    while isinstance(config.get("dataset"), dict):
        config = config["dataset"]
    return config


def leaves(config: Any) -> Iterator[Any]:
    """Yield the configs of the data sets inside wrappers that repeat, draw from or join others."""
    if not config:
        return
    inner = config.get("datasets") or [config.get("dataset")]
    if isinstance(inner[0], dict):  # not the name of one of its tasks
        for part in inner:
            yield from leaves(part)
    elif "datasets" not in config:
        yield config


def recognition_kind(config: Any) -> Optional[type[RecognitionDataset]]:
    """Return the class of a data set of images with one label each; None for other kinds."""
    kind = unwrapped(config)["type"]
    kind = ALL_DATASETS.get(kind) if isinstance(kind, str) else kind
    return kind if isinstance(kind, type) and issubclass(kind, RecognitionDataset) else None


def whereabouts(dataset: Any) -> str:
    """Name a data set and its folder, for messages."""
    what = f" {dataset.name} ({dataset.split})" if isinstance(dataset, RecognitionDataset) else ""
    return f"data set {type(dataset).__name__}{what} with data_root {dataset.data_root!r}"


def check_dataset(config: ConfigDict, settings: DataCheck = STRICT) -> int:
    """Check that a data set has its folders, lists and images, mmseg's data sets their masks, and COCO's their boxes.

    Only the headers of images and masks are read; ``tools/check_dataset.py`` reads complete files.

    Args:
        config: config of the data set, or of a wrapper around one or several. Kinds other than mmseg's
            ``BaseSegDataset``, mmdet's ``CocoDataset`` and our ``RecognitionDataset`` are skipped.
        settings: strictness that the config sets.

    Returns:
        The number of images.

    Raises:
        DataError: a missing or bad list, a missing folder, no image, images without mask, empty files, images that are
            read from hidden folders or not read because of their suffix, images that are listed twice, JPEG masks,
            files that are cut off or too large, images that no longer fit their masks once turned by Exif, or files
            with more bits than the pipeline reads.
    """
    return sum(_check(leaf, settings) for leaf in leaves(config))


def _check(config: Any, settings: DataCheck) -> int:
    coco = coco_source(config)
    if coco is not None:
        return check_coco(coco, settings, root_advice(coco.data_root))
    dataset = open_dataset(config)
    if dataset is None:
        return 0
    where = whereabouts(dataset)
    items = dataset.load_data_list()
    if not items:
        raise DataError(f"{where}: {without_images(dataset)}; {root_advice(dataset.data_root)}")
    if isinstance(dataset, RecognitionDataset):
        strays = hidden_images(
            [item["img_path"] for item in items], str(dataset.folder(dataset.data_root, dataset.name))
        )
        strays += listed_twice(items, dataset.split)
    else:
        strays = stray_files(dataset, items) + listed_twice(items, dataset.ann_file)
    refuse_strays(where, strays, settings)
    for key, name in (("img_path", "images"), ("seg_map_path", "masks")):
        sizes = {item[key]: file_size(item[key]) for item in items if key in item}
        for bad, what in ((None, "missing"), (0, "empty files")):
            paths = [path for path, size in sizes.items() if size == bad]
            if paths:
                raise DataError(
                    f"{where}: {len(paths)} of {len(items)} {name} are {what}, for instance {', '.join(paths[:3])}"
                    f"{renamed(paths[:1]).get(paths[0], '')}; "
                    f"restore them or take those images out ({program('check-dataset')} CONFIG looks into every file)"
                )
    keys = ("img_path", "seg_map_path")
    refuse_damaged(where, list(dict.fromkeys(item[key] for key in keys for item in items if key in item)))
    pipeline = config.get("pipeline") or ()
    headers = {} if isinstance(dataset, RecognitionDataset) else read_headers(items)
    check_depth(items, pipeline, len(dataset.metainfo.get("classes") or ()), headers)
    if not isinstance(dataset, RecognitionDataset):
        check_orientation(where, items, pipeline, settings.exif, headers)
    return len(items)


def without_images(dataset: Any) -> str:
    """Describe where a data set has no image."""
    if isinstance(dataset, RecognitionDataset):
        paths = dataset.list_paths(dataset.data_root, dataset.name, dataset.split)
        return f"no image in {', '.join(map(str, paths))}"
    if osp.isfile(dataset.ann_file):
        return f"no name in {dataset.ann_file!r}"
    folder = dataset.data_prefix.get("img_path")
    there = other_suffixes(folder) if folder else ""
    return f"no *{dataset.img_suffix} in {folder!r}" + (f", but {there}: set img_suffix" if there else "")
