"""Check of some masks of each split before training, and of all where some contradict the config."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, Optional

import numpy as np

from ..datasets.load_label_map import MOST
from ..datasets.pictures import UNREADABLE, read_picture, why_unreadable
from ..datasets.pipelines import MASK_LOADERS, find_step, loads_masks_otherwise, step_name
from ..errors import DataError, some
from ..long_work import WORKERS, in_parallel
from .data_check import STRICT, DataCheck
from .label_advice import advice_on
from .label_patterns import contradictions, suspicious
from .label_values import Scheme, SeenValues
from .lossy import looks_interpolated
from .palettes import Palettes
from .preflight import leaves, open_dataset, recognition_kind, whereabouts
from .report import NEXT_STEPS, NOTES
from .segmentation_audit import label_table, label_values

SAMPLE = 64  # masks of each split that are always read, evenly spaced
GENERAL = "fix the masks, or check the data set's type, its classes and reduce_zero_label"
PROCEED = "If the data are meant so: --cfg-options data_check.labels=warn"

logger = logging.getLogger("davpt_seg")


class MaskValues(NamedTuple):
    """A mask's pixel count of each value, its file format, whether its borders look interpolated, and its palette."""

    path: str
    histogram: np.ndarray
    format: str
    interpolated: bool
    palette: Optional[np.ndarray]


def read_values(path: str, loader: Any) -> Optional[MaskValues]:
    """Read a mask; None if it is no label map for Pillow, where the pipeline reads it by another library.

    Args:
        path: file.
        loader: config of the pipeline's step that reads masks.

    Raises:
        DataError: the pipeline could not read the mask, or it does not hold one class number per pixel.
    """
    shallow = step_name(loader) == "LoadAnnotations"
    by_pillow = not shallow or dict(loader).get("imdecode_backend", "pillow") == "pillow"
    try:
        mask = read_picture(path, decode=True)
        values = label_values(mask, shallow)
        if values is None or values.min() < 0:
            raise DataError(f"holds {'no values' if values is None else values.min()}; class numbers start at 0")
    except UNREADABLE as error:  # a DataError is one
        if not by_pillow:
            return None
        reason = error if isinstance(error, DataError) else f"cannot be read: {why_unreadable(error, path)}"
        raise DataError(f"mask {path!r} {reason}") from error
    histogram = np.bincount(np.minimum(values.ravel().astype(np.int64), MOST + 1), minlength=256)  # no class either
    return MaskValues(path, histogram, mask.format, looks_interpolated(values), mask.palette)


class _Split:
    """One split's masks, in the order in which they are read."""

    def __init__(self, name: str, config: Mapping[str, Any], dataset: Any) -> None:
        self.name, self.where = name, whereabouts(dataset)
        classes = tuple(dataset.metainfo.get("classes") or ())
        self.loader = find_step(config.get("pipeline") or (), *MASK_LOADERS) or dict(type="LoadAnnotations")
        self.seen = SeenValues(
            Scheme(label_table(dataset, config.get("pipeline") or ()), classes, bool(dataset.reduce_zero_label))
        )
        paths = list(dict.fromkeys(i["seg_map_path"] for i in dataset.load_data_list() if i.get("seg_map_path")))
        first = np.unique(np.linspace(0, len(paths) - 1, min(SAMPLE, len(paths))).astype(int))
        rest = np.random.default_rng(0).permutation(np.setdiff1d(np.arange(len(paths)), first))
        self.order = [paths[i] for i in [*first, *rest]]
        self.read = 0

    def read_some(self, count: int) -> list[MaskValues]:
        """Read the next masks and count their values."""
        paths = self.order[self.read : self.read + count]
        self.read += len(paths)
        read = in_parallel(partial(read_values, loader=self.loader), paths, WORKERS, self.name, bar=False)
        try:
            masks = [mask for mask in read if mask is not None]
        except DataError as error:
            raise DataError(f"{self.name}: {error}") from error
        for mask in masks:
            self.seen.add(mask.histogram)
        self.seen.complete = self.read == len(self.order)
        return masks


def check_labels(datasets: Mapping[str, Mapping[str, Any]], settings: DataCheck = STRICT) -> None:
    """Refuse masks whose values contradict the config.

    At most 64 masks of each split are read, and more only as long as the masks read so far contradict the config.

    Args:
        datasets: configs of data sets by split, or of wrappers around them. Kinds other than mmseg's
            ``BaseSegDataset``, data sets without classes or masks, and pipelines that load masks by a custom step,
            which may give the values another meaning, are skipped.
        settings: checks of the config; ``labels="warn"`` logs a warning instead.

    Raises:
        DataError: values that are no class, masks that interpolation or JPEG mixed, or splits without any class, with
            a single class, or with ``reduce_zero_label`` where 0 is a class.
    """
    splits = list(_splits(datasets))
    for split in splits:
        _refuse_wrong(split, split.read_some(SAMPLE), settings)
    seen = {split.name: split.seen for split in splits}
    while True:
        doubtful = suspicious(seen)
        unread = [split for split in splits if split.name in doubtful and split.read < len(split.order)]
        if not unread:
            break
        for split in unread:
            split.read_some(4 * SAMPLE)
    for case in contradictions(seen):
        where = next(split.where for split in splits if split.name == case.split)
        message = f"{case.split}: {where}: {case.text}"
        if case.certain and settings.labels == "refuse":
            raise DataError(f"{message}. {PROCEED}")
        logger.warning("%s", message)


def _splits(datasets: Mapping[str, Mapping[str, Any]]) -> Iterator[_Split]:
    known: list[Any] = []
    for name, config in datasets.items():
        for number, leaf in enumerate(leaves(config), 1):
            if recognition_kind(leaf):  # no masks
                continue
            files = {key: value for key, value in leaf.items() if key != "pipeline"}
            dataset = open_dataset(leaf) if files not in known else None
            known.append(files)
            if loads_masks_otherwise(leaf.get("pipeline") or ()):
                logger.info("%s: the pipeline loads no masks, or by a custom step: their values are not checked", name)
            elif dataset is not None and hasattr(dataset, "seg_map_suffix") and dataset.metainfo.get("classes"):
                yield _Split(name if number == 1 else f"{name} {number}", leaf, dataset)


def _refuse_wrong(split: _Split, masks: Sequence[MaskValues], settings: DataCheck) -> None:
    """Refuse labels that are no class, and masks with mixed labels along borders."""
    if not masks:
        return
    mixed = [mask.path for mask in masks if mask.format in ("JPEG", "MPO")] or [
        mask.path for mask in masks if mask.interpolated
    ]
    wrong = set(split.seen.wrong)
    first = next((mask.path for mask in masks if any(mask.histogram[v] for v in wrong if v < len(mask.histogram))), "")
    if 2 * len(mixed) > len(masks):
        problem = (
            f"{len(mixed)} of {len(masks)} masks that were read, for instance {mixed[0]}, hold labels between those of "
            "their regions along the borders, as interpolation and JPEG leave them. Make the masks again from their "
            "source: resized by nearest neighbour, saved as PNG"
        )
    elif wrong:
        problem = (
            f"masks hold label {some(sorted(wrong))}, for instance {first}, but classes are "
            f"{split.seen.scheme.allowed}; {advice_on(wrong, split.seen.pixels, split.seen.scheme) or GENERAL}"
        )
    else:
        colours = Palettes()
        cases = [case for mask in masks for case in colours.compare(mask.path, mask.palette, mask.histogram)]
        if not cases:
            return
        case = next((case for case in cases if case.kind == "palettes"), cases[0])
        problem = f"mask {case.path}: {case.detail}; {(NEXT_STEPS | NOTES)[case.kind][1]}"
        if case.kind == "colours":
            logger.warning("%s: %s: %s", split.name, split.where, problem)
            return
    if settings.labels == "refuse":
        raise DataError(f"{split.name}: {split.where}: {problem}. {PROCEED}")
    logger.warning("%s: %s: %s", split.name, split.where, problem)
