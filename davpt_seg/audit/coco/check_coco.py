"""Check of a data set in COCO's format, before training."""

from __future__ import annotations

import logging
import os.path as osp
from collections.abc import Sequence

from ...errors import DataError, some
from ...long_work import MANY, WORKERS, in_parallel
from ...terminal.program import program
from ..data_check import DataCheck
from ..depth import check_depth
from ..findings import Finding
from ..preflight_exif import header_of
from ..preflight_files import file_size, refuse_damaged, refuse_strays, renamed
from ..stray_files import listed_twice
from .coco_file import CocoFile
from .coco_source import CocoSource
from .file_findings import file_findings
from .image_findings import paths_of, size_findings
from .image_places import elsewhere
from .kinds import KINDS

logger = logging.getLogger("davpt_seg")


def check_coco(source: CocoSource, settings: DataCheck, advice: str) -> int:
    """Check an annotation file and its images; of images, only headers and ends are read.

    Args:
        source: where the data set lies, and how it is read.
        settings: strictness that the config sets.
        advice: what sets the data set's folder, for files that do not exist.

    Returns:
        The number of images.

    Raises:
        DataError: the first kind of problem, with the file, the number, an example, and what to do.
    """
    if not osp.isfile(source.ann_file):
        raise DataError(f"{source.where} does not exist; {advice}")
    coco, (problems, notes) = file_findings(source, settings)
    refuse(source, problems)
    assert coco is not None
    for kind, few in _by_kind(notes).items():
        meaning, step = KINDS[kind]
        logger.warning(
            "%s: %s (%s of %s, for instance %s). What to do: %s",
            source.where, meaning, f"{len(few):,}", f"{len(coco.annotations):,}", _example(few[0]), step,
        )  # fmt: skip
    check_images(source, coco, settings, advice)
    return len(coco.images)


def check_images(source: CocoSource, coco: CocoFile, settings: DataCheck, advice: str) -> None:
    """Check that images exist, are complete, and have the sizes that the annotation file says.

    Raises:
        DataError: see :func:`check_coco`.
    """
    items, paths = source.items(coco), paths_of(coco, source)
    sizes = dict(zip(paths, in_parallel(file_size, paths, WORKERS, "images", bar=len(paths) > MANY)))
    for bad, what in ((None, "missing"), (0, "empty files")):
        wrong = [path for path in paths if sizes[path] == bad]
        if wrong:
            raise DataError(
                f"{source.where}: {len(wrong):,} of {len(paths):,} images are {what}, for instance {some(wrong, 3)}"
                f"{renamed(wrong[:1]).get(wrong[0], '')}; "
                + (elsewhere(source, coco, wrong[0]) or f"restore them, or take their entries out ({advice})")
            )
    refuse_strays(source.where, listed_twice(items, source.ann_file), settings)
    refuse_damaged(source.where, paths)
    headers = dict(zip(paths, in_parallel(header_of, paths, WORKERS, "headers", bar=len(paths) > MANY)))
    check_depth(items, source.pipeline, headers=headers)
    refuse(source, list(size_findings(coco, source, headers, settings.exif)))


def refuse(source: CocoSource, problems: Sequence[Finding]) -> None:
    """Refuse the first kind of problem.

    Raises:
        DataError: there is one.
    """
    for kind, found in _by_kind(problems).items():
        meaning, step = KINDS[kind]
        if kind == "annotation file":
            raise DataError(found[0].detail)
        count = "" if found[0].path == source.ann_file else f"{len(found):,} x "
        every = f"; '{program('check-dataset')} --coco {source.ann_file} --images {source.images}' lists all"
        raise DataError(
            f"{source.where}: {count}{meaning}, for instance {_example(found[0])}. What to do: {step}"
            f"{every if len(found) > 1 else ''}"
        )


def _example(finding: Finding) -> str:
    return f"{finding.path}: {finding.detail}" if finding.detail else finding.path


def _by_kind(found: Sequence[Finding]) -> dict[str, list[Finding]]:
    kinds: dict[str, list[Finding]] = {}
    for finding in found:
        kinds.setdefault(finding.kind, []).append(finding)
    return {kind: kinds[kind] for kind in KINDS if kind in kinds}
