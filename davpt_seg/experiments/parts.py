"""Files that experiments are composed of: those of ``configs/_base_``, and a user's anywhere on disk."""

from __future__ import annotations

import ast
import copy
import hashlib
import os.path as osp
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Optional

from mmengine.config import Config

from ..errors import InputError, nearest
from ..own_data.content import KEY
from ..own_data.folder import expanded, folder_of, is_folder, plain_text, read_folder, read_plain
from .catalog import config_root
from .config_files import UNREADABLE, read_file
from .environment import read_with_variables
from .methods import joined_methods
from .words import is_path

FOLDERS = dict(
    method="methods", trunk="models", head="detectors", data="datasets", schedule="schedules", runtime="runtime"
)
NEEDED = dict(  # keys that a user's file must have
    method="model.backbone",
    trunk="model.backbone.out_indices",
    data="train_dataloader",
    schedule="optim_wrapper.optimizer",
)

OF_IMAGES = "classifier_"  # beginning of the models' names for image classification

_known_parts: ContextVar[Optional[dict[tuple[str, str], dict[str, Any]]]] = ContextVar("known_parts", default=None)


@contextmanager
def each_read_once() -> Iterator[None]:
    """Cache parts inside the context, where many experiments are composed of a few parts."""
    token = _known_parts.set({})
    try:
        yield
    finally:
        _known_parts.reset(token)


def read_part(kind: str, name: str) -> dict[str, Any]:
    """Read a part's file, or copy it from the cache, see :func:`each_read_once` and :func:`_read_part`."""
    known = _known_parts.get()
    if known is None:
        return _read_part(kind, name)
    if (kind, name) not in known:
        known[kind, name] = _read_part(kind, name)
    return copy.deepcopy(known[kind, name])


def _read_part(kind: str, name: str) -> dict[str, Any]:
    """Read a part's file.

    Args:
        kind: key of ``FOLDERS``.
        name: name of one of our files, or the path of another. Names in its ``_base_`` that are not files next to it
            are ours. For data also a folder, see :mod:`davpt_seg.own_data.folder`.

    Raises:
        InputError: an unknown name (the message lists the known ones), or a file that cannot be read.
    """
    folder = config_root() / "_base_" / FOLDERS[kind]
    if kind == "data" and is_folder(name):
        return read_folder(name)
    if not is_path(name):
        return read_with_variables(_of_ours(folder, name)).to_dict()
    path = Path(osp.abspath(osp.expanduser(name)))
    if not path.is_file():
        raise InputError(f"{kind}={name}: there is no file {path}; our parts are named without .py")
    if kind == "data" and plain_text(path) is not None:
        return read_plain(path, f"{kind}={name}")
    try:
        with tempfile.TemporaryDirectory() as copies:
            content = read_file(_with_bases(path, folder, Path(copies))).to_dict()
    except InputError:
        raise
    except UNREADABLE as error:
        raise InputError(f"{kind}={name}: {path} cannot be read: {type(error).__name__}: {error}") from error
    if kind == "data" and KEY in content:
        content = expanded(content, str(_folder_of_own_data(path, folder) or path.parent), f"{kind}={name}")
    if not has_key(content, NEEDED[kind]):
        raise InputError(f"{kind}={name}: {path} has no {NEEDED[kind]}; the files in {folder} are examples")
    return content


def has_key(content: Any, key: str) -> bool:
    """Return whether nested dicts and lists have a key such as ``model.backbone``."""
    for name in key.split("."):
        if isinstance(content, list):
            if int(name) >= len(content):
                return False
            content = content[int(name)]
        elif isinstance(content, (Mapping, Config)) and name in content:
            content = content[name]
        else:
            return False
    return True


def label_of(name: str) -> str:
    """Return the label of a part in file and folder names; for a path, also of a ``.json``, its stem and a digest."""
    if not is_path(name) and not name.endswith(".json") and not is_folder(name):
        return name
    path = folder_of(name) if is_folder(name) else Path(osp.abspath(osp.expanduser(name)))
    return f"{path.stem}-{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"


def merged_parts(model: dict[str, Any], data: dict[str, Any], schedule: str, method: str, runtime: str) -> Config:
    """Merge the files of an experiment's parts.

    Args:
        model: content of the model's file, or what was composed of several.
        schedule, runtime: see :func:`read_part`.
        data: content of the data part.
        method: method, or several joined by ``+``.

    Raises:
        InputError: see :func:`read_part`; or methods that cannot be joined.
    """
    cfg = Config({})
    for part in (model, data, read_part("schedule", schedule), read_part("runtime", runtime)):
        cfg.merge_from_dict(part)
    contents = {label_of(name): read_part("method", name) for name in method.split("+")}
    cfg.merge_from_dict(joined_methods(method, contents))
    return cfg


def _of_ours(folder: Path, name: str) -> Path:
    known = _known(folder)
    if name not in known:
        trunks = [each.removeprefix(OF_IMAGES) for each in known if each.startswith(OF_IMAGES)]
        if trunk := next((each for each in trunks if name.endswith(f"_{each}")), ""):
            raise InputError(
                f"trunk={trunk} is for image classification: add data=vtab/NAME or data=fgvc/NAME, or "
                "take a trunk of segmentation, such as trunk=vitb"
            )
        raise InputError(f"there is no {name!r} in {folder}; {nearest(name, known)}")
    return folder / f"{name}.py"


def _known(folder: Path) -> list[str]:
    parts = (file.relative_to(folder).with_suffix("").as_posix() for file in folder.rglob("*.py"))
    return sorted(part for part in parts if not part.endswith("base"))


def _with_bases(path: Path, folder: Path, copies: Path, above: tuple[Path, ...] = ()) -> Path:
    """Return the path of a config whose ``_base_`` MMEngine finds: the file, or a copy with other paths in it.

    Raises:
        InputError: a base is neither next to the file nor ours, or leads back to the file.
    """
    if path in above:
        raise InputError(f"{path}: its _base_ leads back to itself")
    text = path.read_text(encoding="utf-8")
    statement = _base_statement(text) if path.suffix == ".py" else None
    if statement is None:
        return path
    bases = _bases(statement)
    found = [
        base if "::" in base else _with_bases(_base(base, path, folder), folder, copies, (*above, path))
        for base in bases
    ]
    if all("::" in base or path.parent / base == place for base, place in zip(bases, found)):
        return path
    copy = copies / str(len(list(copies.iterdir()))) / path.name
    copy.parent.mkdir()
    text = _replaced(text, statement.value, repr([str(place) for place in found]))
    text = re.sub(r"\{\{\s*fileDirname\s*\}\}", lambda _: str(path.parent), text)
    copy.write_text(text, encoding="utf-8")
    return copy


def _bases(statement: ast.Assign) -> list[str]:
    bases = ast.literal_eval(statement.value)
    return [bases] if isinstance(bases, str) else list(bases)


def _folder_of_own_data(path: Path, folder: Path) -> Optional[Path]:
    """Return the folder of the file that names the images, a file or one of its bases; None where it is the file."""
    statement = _base_statement(path.read_text(encoding="utf-8"))
    for base in _bases(statement) if statement else ():
        if "::" not in base:
            place = _base(base, path, folder)
            found = place.parent if plain_text(place) is not None else _folder_of_own_data(place, folder)
            if found:
                return found
    return None


def _base_statement(text: str) -> Optional[ast.Assign]:
    """Find ``_base_ = ...`` of plain text; MMEngine reports errors in any other."""
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return None
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(n, ast.Name) and n.id == "_base_" for n in node.targets):
            plain = all(isinstance(n, (ast.List, ast.Tuple, ast.Constant, ast.Load)) for n in ast.walk(node.value))
            return node if plain else None
    return None


def _replaced(text: str, node: ast.expr, value: str) -> str:
    """Return a file's text with a node replaced by another value of the same number of lines."""
    lines = text.encode().split(b"\n")  # as ast counts: lines by newline alone, columns in bytes
    first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
    before, after = lines[first][: node.col_offset], lines[last][node.end_col_offset :]
    padded = f"({value}" + "\n" * (last - first) + ")"
    return b"\n".join([*lines[:first], before + padded.encode() + after, *lines[last + 1 :]]).decode()


def _base(base: str, path: Path, folder: Path) -> Path:
    places = [path.parent / base, folder / base, folder.parent / base]
    for place in places:
        if place.is_file():
            return place
    raise InputError(f"{path}: _base_ names {base!r}, but there is neither {places[0]} nor {places[1]}")
