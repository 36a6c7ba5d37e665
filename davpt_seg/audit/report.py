"""An audit's findings as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..errors import some
from .coco.kinds import FEW, KINDS, NOTED
from .coco.kinds import MAY_BE_MEANT as BOXES_MAY_BE_MEANT
from .findings import Finding, SplitAudit

# Meaning of each kind of finding, and what to do about it.
NEXT_STEPS = {
    "not there": ("data set that cannot be opened", "follow the message; docs/data.md says how to get the data"),
    "no folder": (
        "data set without folder",
        "get it (docs/vtab.md, docs/fgvc.md), or list the sets to check after their root",
    ),
    "not checked": (
        "kind of data set that is not read",
        "check it yourself: only mmseg's BaseSegDataset, mmdet's CocoDataset, our VTABDataset and FGVCDataset, and "
        "subclasses are read",
    ),
    "empty": ("split without images", "get the data, or give its right folder and img_suffix"),
    "count": ("number of images is not the published one", "unpack the archive again: it may have been cut off"),
    "list": ("list that can't be used", "follow the message, or make the list again (docs/vtab.md, docs/fgvc.md)"),
    "list count": (
        "list that is not as long as the published one",
        "get the lists again, or make them with our converter (docs/vtab.md, docs/fgvc.md)",
    ),
    "not the sum": ("list that is not its two parts together", "write the two lists, one after the other, into it"),
    "missing image": ("listed image missing", "restore it, or take it out of the list"),
    "missing mask": ("image without mask", "restore the mask, or take the image away"),
    "mask without image": ("mask without image", "restore the image, or take the mask away"),
    "listed twice": ("image listed twice, so that it counts twice", "take the other entries out of the list"),
    "in train too": ("image of training in another split", "take it out of one: its score says nothing"),
    "in two splits": ("image in two splits", "take it out of one: what is tested must not be trained or chosen on"),
    "same content": (
        "image with the content of one in another split",
        "take it out of one: what is tested must not be trained or chosen on; if there are many, make the lists again",
    ),
    "unreadable": ("unreadable file", "follow the message after its name"),
    "too large": (
        "image or mask with more pixels than Pillow reads, which protects the memory",
        "cut it and its pair into tiles, or make both smaller (a mask by nearest neighbour)",
    ),
    "depth": (
        "image of more than 8 bits a channel",
        "convert it to 8 bits, or state its range in the pipelines by ToEightBit (docs/data.md)",
    ),
    "turned": (
        "image turned by Exif when read, whose mask was drawn on the pixels as stored",
        "drop the tag, which leaves its pixels as they are: --drop-orientation; or read images as stored: "
        "data_check.exif=stored in the config",
    ),
    "not turned": (
        "image read as stored, whose mask was drawn on the image turned by Exif",
        "read images upright: remove data_check.exif=stored, and color_type of LoadImageFromFile",
    ),
    "turned or not": (
        "image turned by Exif when read, whose mask may have been drawn on either: sizes do not show it",
        "look at both readings (--overlays DIR), then state which is right: --exif upright (in the config "
        "data_check.exif=upright), nothing else to do; or --exif stored --drop-orientation, which drops the tag",
    ),
    "hidden": (
        "image read from a hidden folder, or from one that a program made for itself",
        "delete that folder, here and beside the masks",
    ),
    "not read": (
        "image with a mask that is not read, because of its suffix",
        "rename it to img_suffix, upper and lower case being different (readers look at the content, not at the name)",
    ),
    "lossy": (
        "mask with mixed labels along borders, from interpolation or JPEG",
        "make it again from its source: resized by nearest neighbour, saved as PNG",
    ),
    "palettes": (
        "mask in which a colour has another label than in other masks",
        "make the masks again with one palette for all: training reads the numbers, not the colours",
    ),
    "all void": ("split whose masks hold no class", "follow the message"),
    "one class": ("data set with a single class", "follow the message"),
    "shifted": ("reduce_zero_label where 0 is a class", "follow the message"),
    "numbering": ("masks that are not numbered like the classes", "follow the message"),
    "size": ("mask of another size than its image", "make the mask again at the image's size, without interpolation"),
    "no label map": (
        "mask that does not hold one class number per pixel",
        "convert it to one channel (mode L, P or I;16) that holds class numbers",
    ),
    "mask depth": (
        "mask of more than 8 bits a pixel",
        "replace LoadAnnotations, which reads 8 bits of it, by LoadLabelMap (docs/data.md)",
    ),
    "label": ("label that is no class", "fix the mask, or check the data set's type and reduce_zero_label"),
    **KINDS,
}


# Problems that a config may allow: data_check.labels=warn or data_check.files=warn.
MAY_BE_MEANT = ("hidden", "not read", "listed twice", "palettes", "all void", "one class", "shifted", "numbering")

# Findings that are no problem.
NOTES = {
    "tagged": ("image turned by Exif that fits its mask as it is read", "nothing to do"),
    "lossy": (
        "mask with many labels between those of the regions at their borders",
        "look at one: thin objects, or interpolation",
    ),
    "colours": (
        "mask in which a label has another colour than in other masks",
        "nothing to do where a label means the same class in all masks: training reads the numbers, not the colours",
    ),
    "not judged": (
        "split whose pipeline loads masks by a custom step",
        "check its masks yourself: training does not see what the files hold",
    ),
    "absent": ("class that is in no mask", "follow the message, if it applies"),
    **{kind: NEXT_STEPS[kind] for kind in (*MAY_BE_MEANT, *FEW, *NOTED, *BOXES_MAY_BE_MEANT)},
    "division": (
        "list that is not as long as VPT's",
        "train and val together are the release's images, divided differently: mention it in comparisons",
    ),
    "same content": (
        "image with the content of one in another split",
        "official releases hold a few; leave them to stay comparable",
    ),
}


def problem_lines(findings: Sequence[Finding], show: int) -> list[str]:
    """List findings by kind, ``show`` of each, with what to do."""
    return _lines(findings, NEXT_STEPS, "PROBLEM ", show)


def note_lines(notes: Sequence[Finding], show: int) -> list[str]:
    """List notes by kind, ``show`` of each, with what to do."""
    return _lines(notes, NOTES, "note: ", show)


def _lines(findings: Sequence[Finding], kinds: Mapping[str, tuple[str, str]], heading: str, show: int) -> list[str]:
    lines = []
    for kind, (meaning, step) in kinds.items():
        found = [finding for finding in findings if finding.kind == kind]
        if found:
            lines.append(f"  {heading}{len(found):,} x {meaning}")
            lines += [f"      {f.path}" + (f": {f.detail}" if f.detail else "") for f in found[:show]]
            lines += [f"      ... and {len(found) - show:,} more"] if len(found) > show else []
            lines.append(f"      -> {step}")
    return lines


def split_text(audit: SplitAudit, show: int) -> str:
    """Describe one split: its size, its problems, and its missing classes."""
    published = " (as published)" if audit.images in audit.expected else ""
    lines = [f"{audit.split}: {audit.dataset}, {audit.images:,} images{published}"]
    lines += [f"  {line}" for line in audit.lines]
    lines += problem_lines(audit.findings, show) + note_lines(audit.notes, show)
    if audit.void_masks:
        lines.append(f"  note: {audit.void_masks:,} of {audit.masks:,} masks hold no class, only void")
    lines += _class_lines(audit, show)
    if not audit.findings:
        files = "image and mask" if audit.pixels else "image"
        lines.append(f"  complete: every {files} " + ("was read" if audit.decoded else "has a header that fits"))
    return "\n".join(lines)


def _class_lines(audit: SplitAudit, show: int) -> list[str]:
    lines, never = [], audit.never_seen
    if not audit.pixels and not audit.objects and any(audit.seen_in):  # one label an image: no table is needed
        most, least = max(audit.seen_in), min(audit.seen_in)
        each = f"{least:,}" if least == most else f"{least:,} to {most:,}"
        lines.append(f"  {len(audit.classes)} classes with {each} images each")
    if never:
        many = f"{len(never)} of {len(audit.classes)} classes"
        lines.append(f"  note: {many} are never seen: {some(never, show)}")
    return lines


def class_table(audits: Sequence[SplitAudit]) -> str:
    """Tabulate each class's share of the labelled pixels and its number of images, for each split."""
    audits = [audit for audit in audits if audit.decoded and audit.pixels]
    audits = [audit for audit in audits if audit.classes == audits[0].classes]  # a table has one column of names
    if not audits:
        return ""
    width = max(map(len, audits[0].classes))
    lines = [" " * width + "".join(f"{audit.split + ' pixels':>16}{'images':>9}" for audit in audits)]
    for c, name in enumerate(audits[0].classes):
        cells = [f"{a.pixels[c] / max(1, sum(a.pixels)):>16.3%}{a.seen_in[c]:>9,}" for a in audits]
        lines.append(f"{name:{width}}" + "".join(cells))
    cells = [f"{a.void / max(1, a.void + sum(a.pixels)):>16.3%}{'':>9}" for a in audits]
    return "\n".join([*lines, f"{'(void)':{width}}" + "".join(cells)])
