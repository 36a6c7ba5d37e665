"""All findings in an annotation file, divided into problems and notes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from ...errors import DataError
from ..data_check import DataCheck
from ..findings import Finding
from .box_findings import box_findings
from .coco_file import CocoFile, form_findings, read_coco
from .coco_source import CocoSource
from .entry_findings import entry_findings, ignored, same_objects
from .kinds import FEW, MAY_BE_MEANT, NOTED
from .mask_findings import mask_findings

Found = tuple[list[Finding], list[Finding]]


def file_findings(source: CocoSource, settings: DataCheck) -> tuple[CocoFile | None, Found]:
    """Read an annotation file and check its entries; images are not looked at.

    Args:
        source: where it lies, and how it is read.
        settings: strictness that the config sets.

    Returns:
        The file, None where its entries cannot be read; and problems and notes.
    """
    try:
        coco = read_coco(source.ann_file)
    except DataError as error:
        return None, ([Finding("annotation file", source.ann_file, str(error))], [])
    wrong = form_findings(coco, source.evaluated)
    if wrong:
        return None, (wrong, [])
    found = list(entry_findings(coco, source.classes))
    if any(each.kind in ("id twice", "no annotation") for each in found):
        return coco, (found, [])
    masks = mask_findings(coco, source.boxes_do) if source.reads_masks else ()
    found += [*ignored(coco), *box_findings(coco), *same_objects(coco), *masks]
    return coco, divided(found, len(coco.used), settings)


def divided(found: Iterable[Finding], total: int, settings: DataCheck) -> Found:
    """Divide findings into problems and notes: few of a kind that official releases have, and what is allowed.

    Args:
        found: findings.
        total: number of annotations.
        settings: strictness that the config sets.
    """
    found = list(found)
    counts = Counter(finding.kind for finding in found)
    meant = (*NOTED, *(MAY_BE_MEANT if settings.labels == "warn" else ()))
    few = {kind for kind, share in FEW.items() if counts[kind] <= share * total}
    notes = [finding for finding in found if finding.kind in few or finding.kind in meant]
    noted = {id(finding) for finding in notes}
    return [finding for finding in found if id(finding) not in noted], notes
