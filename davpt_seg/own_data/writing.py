"""Files of a data set, written without replacing a file that is there."""

from __future__ import annotations

import difflib
import io
from dataclasses import dataclass, field
from pathlib import Path, PurePath

import numpy as np
from PIL import Image

from ..datasets.pictures import UNREADABLE
from ..errors import InputError, some
from ..long_work import in_parallel
from ..replacing import replacing
from .masks import Masks, index_mask
from .pair import Pair
from .plan import Plan

FIRST = 30  # lines of a difference that are shown


@dataclass
class Comparison:
    """Files of a plan: to write, there with the same content, and there with another content."""

    new: list[PurePath] = field(default_factory=list)
    same: list[PurePath] = field(default_factory=list)
    different: list[PurePath] = field(default_factory=list)


def compare(root: Path, part: str, plan: Plan, masks: Masks, sheet: bytes, sheet_name: str) -> Comparison:
    """Compare what would be written with what is there; nothing is written.

    Args:
        root: the data set's folder.
        part: name of the data part's file.
        plan: lists and masks.
        masks: what the masks hold.
        sheet, sheet_name: content and name of the figure of overlays.
    """
    found = Comparison()
    contents = {path: text.encode() for path, text in _texts(part, plan).items()} | {PurePath(sheet_name): sheet}
    for path, content in contents.items():
        file = root / path
        kind = found.new if not file.exists() else found.same if _bytes(file) == content else found.different
        kind.append(path)

    def state(item: tuple[PurePath, Pair]) -> str:
        file = root / item[0]
        if not file.exists():
            return "new"
        try:
            with Image.open(file) as image:
                there = np.asarray(image)
        except UNREADABLE:
            return "different"
        return "same" if np.array_equal(there, index_mask(root, item[1], masks)) else "different"

    for path, kind_of in zip(plan.masks, in_parallel(state, list(plan.masks.items()), 4, "index masks")):
        getattr(found, kind_of).append(path)
    return found


def refuse_different(root: Path, found: Comparison, part: str, plan: Plan) -> None:
    """Refuse to write where a file has another content.

    Raises:
        InputError: there is one; nothing was written.
    """
    if not found.different:
        return
    texts = _texts(part, plan)
    shown = ""
    first = found.different[0]
    if first in texts:
        lines = difflib.unified_diff(
            _bytes(root / first).decode("utf-8", "replace").splitlines(), texts[first].splitlines(),
            str(root / first), "what would be written", lineterm="", n=1,
        )  # fmt: skip
        listed = list(lines)
        shown = "\n" + "\n".join(listed[:FIRST]) + ("\n..." if len(listed) > FIRST else "")
    raise InputError(
        f"{root}: {some(list(map(str, found.different)))} {'is' if len(found.different) == 1 else 'are'} there already "
        "with other content, so nothing was written. To keep yours, there is nothing to do; to have "
        f"{'it' if len(found.different) == 1 else 'them'} written again, delete or rename "
        f"{'it' if len(found.different) == 1 else 'them'} and run the command again{shown}"
    )


def write(root: Path, found: Comparison, part: str, plan: Plan, masks: Masks, sheet: bytes, sheet_name: str) -> None:
    """Write the new files; the data part comes last, so that an interrupted run leaves none."""
    wanted = set(found.new)

    def write_mask(item: tuple[PurePath, Pair]) -> None:
        labels = index_mask(root, item[1], masks)
        content = io.BytesIO()
        Image.fromarray(labels).save(content, "PNG")
        _put(root / item[0], content.getvalue())

    todo = [(path, pair) for path, pair in plan.masks.items() if path in wanted]
    list(in_parallel(write_mask, todo, 4, "index masks"))
    texts = _texts(part, plan)
    for path in (*plan.texts, PurePath(sheet_name), PurePath(part)):
        if path in wanted:
            _put(root / path, texts[path].encode() if path in texts else sheet)


def _texts(part: str, plan: Plan) -> dict[PurePath, str]:
    return {**plan.texts, PurePath(part): plan.text}


def _bytes(file: Path) -> bytes:
    return file.read_bytes() if file.is_file() else b""


def _put(path: Path, content: bytes) -> None:
    with replacing(path) as unfinished:
        unfinished.write_bytes(content)
