"""Data parts that a word names by a folder: ``data=folder:``, ``imagefolder:`` and ``coco_folder:PATH``."""

from __future__ import annotations

import os.path as osp
import shlex
from functools import lru_cache
from pathlib import Path
from typing import Any, Optional

from ..errors import InputError, some
from ..trust.config_text import evaluate
from .content import KEY, data_part

FOLDER, IMAGE_FOLDER, COCO_FOLDER = PREFIXES = ("folder:", "imagefolder:", "coco_folder:")


def is_folder(name: str) -> bool:
    """Return whether a data part is named by a folder."""
    return name.startswith(PREFIXES)


def folder_of(name: str) -> Path:
    """Return the folder that a data part names."""
    return Path(osp.abspath(osp.expanduser(name.partition(":")[2])))


def read_folder(name: str) -> dict[str, Any]:
    """Return the content of ``folder:PATH``, ``imagefolder:PATH`` or ``coco_folder:PATH``.

    ``folder:PATH`` is the data part that ``davpt-seg new-dataset`` wrote in this folder. A folder without one is used
    as it is if nothing has to be written: it has splits, masks of class numbers, and names of the classes.

    Raises:
        InputError: the folder does not exist, or needs ``davpt-seg new-dataset``.
    """
    folder = folder_of(name)
    if not name.partition(":")[2] or not folder.is_dir():
        raise InputError(f"data={name}: there is no folder {folder}; give the folder of the images after the colon")
    if name.startswith(IMAGE_FOLDER):
        from .image_folder import image_folder_part

        return image_folder_part(folder)
    if name.startswith(COCO_FOLDER):
        from .coco_folder import coco_folder_part

        return coco_folder_part(folder)
    written = parts_in(folder)
    if len(written) > 1:
        raise InputError(
            f"data={name}: {folder} has {len(written)} data parts; name one, data={written[0]}: "
            f"{some([path.name for path in written])}"
        )
    return read_plain(written[0], f"data={name}") if written else _as_it_is(folder, name)


def parts_in(folder: Path) -> list[Path]:
    """List the data parts in a folder: Python files that begin with what new-dataset writes."""
    return sorted(path for path in folder.glob("*.py") if plain_text(path) is not None)


def plain_text(path: Path) -> Optional[str]:
    """Return the text of a file that sets ``own_data`` and has no ``_base_``; None for any other file."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return None
    lines = text.splitlines()
    sets = any(line.startswith((f"{KEY} =", f"{KEY}=")) for line in lines)
    return text if sets and not any(line.startswith("_base_") for line in lines) else None


def read_plain(path: Path, where: str) -> dict[str, Any]:
    """Read a data part that holds plain values; nothing is run.

    Raises:
        InputError: it holds anything else, or wrong values.
    """
    text = plain_text(path)
    assert text is not None
    try:
        content = evaluate(text)
    except InputError as error:
        raise InputError(f"{where}: {path} is read as plain values: {error}") from error
    return expanded(content, str(path.parent), f"{where}: {path}")


def expanded(content: dict[str, Any], folder: str, where: str) -> dict[str, Any]:
    """Replace ``own_data`` of a file by what it describes; the file's other keys take precedence.

    Raises:
        InputError: see :func:`~davpt_seg.own_data.content.data_part`.
    """
    from mmengine.config import Config

    others = {key: value for key, value in content.items() if key != KEY}
    whole = Config(data_part(content[KEY], folder, where))
    whole.merge_from_dict(others)
    return whole.to_dict()


def _as_it_is(folder: Path, name: str) -> dict[str, Any]:
    try:
        own = _looked_at(str(folder))
    except InputError as error:
        raise InputError(
            f"data={name}: this folder has no data part, and cannot be used as it is: {error}. "
            f"Prepare it: davpt-seg new-dataset {shlex.quote(str(folder))}"
        ) from error
    return data_part(own, str(folder), f"data={name}")


@lru_cache(maxsize=8)
def _looked_at(folder: str) -> dict[str, Any]:
    from .class_file import given_classes
    from .layout import look
    from .meaning import read_masks
    from .plan import plan

    root = Path(folder)
    layout = look(root)
    classes = given_classes(root, None, None)
    if classes is None:
        raise InputError("no classes.txt names the classes, one a line")
    found = plan(layout, read_masks(root, layout.all_pairs, classes, None), seed=0)
    if found.needs_files:
        what = "index masks" if found.masks else "lists of the training and validation images"
        raise InputError(f"{what} must be written")
    return found.own
