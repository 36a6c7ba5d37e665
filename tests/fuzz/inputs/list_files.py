"""List files of VTAB-1k and FGVC, changed."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import ConfigDict

from davpt_seg.audit.preflight import check_dataset
from davpt_seg.datasets import FGVCDataset, VTABDataset

from ...recognition import write_image, write_vtab
from ..judge import Fuzz, Wrong
from ..mutate import changed_bytes, changed_list, changed_text

CLASSES = 6
FIRST = "images/train800/000000.jpg"
LINES = [
    *(
        "images/a.jpg 999999999999999999999",
        "images/a.jpg",
        "0",
        "/etc/passwd 1",
        "../../x.jpg 1",
        "~/x.jpg 1",
        "a\0b 1",
    ),
    *("x.jpg -1", "images 1", "images/./train800/000000.jpg 1", " ", "#", "9" * 5000, "x" * 300 + ".jpg 1"),
    *(f"{FIRST} {label}" for label in ("1.0", "²", "6", "0x1", "9" * 5000)),
    f"{FIRST}\t5",
]


def fuzz(fuzz: Fuzz, folder: Path) -> None:
    """Judge changed lists of a task of each kind, and a few right ones."""
    write_vtab(folder / "vtab", "dmlab")
    vtab = folder / "vtab" / "dmlab" / "train800.txt"
    fgvc = _write_fgvc(folder / "fgvc")
    right = {path: path.read_bytes() for path in (vtab, fgvc)}
    for draw in fuzz.draws():
        path = draw.choice([vtab, fgvc])
        content = right[path]
        for _ in range(draw.choice([0, 1, 1, 2])):
            content = _changed(content, path, draw)
        path.write_bytes(content)
        use = _use_vtab if path is vtab else _use_fgvc
        fuzz.judge(content[:300], lambda use=use, path=path: use(path), (str(path.parent),))
        path.write_bytes(right[path])


def _write_fgvc(root: Path) -> Path:
    rng = np.random.default_rng(0)
    listed = {f"{label}/{i}.jpg": 10 * label for label in range(3) for i in range(2)}
    for path, label in listed.items():
        write_image(root / "images" / path, label, rng)
    (root / "test.json").write_text(json.dumps(listed))
    (root / "train.json").write_text(json.dumps(listed))
    return root / "train.json"


def _changed(content: bytes, path: Path, draw: random.Random) -> bytes:
    how = draw.choice(["bytes", "text", "lines", "lines", "json" if path.suffix == ".json" else "line", "file"])
    text = content.decode("utf-8", "replace")
    if how == "bytes" and content:
        return changed_bytes(content, draw)
    if how == "text":
        return changed_text(text, draw).encode("utf-8", "replace")
    if how == "lines":
        sign = "," if path.suffix == ".json" else "\n"
        return sign.join(changed_list(text.split(sign), draw)).encode("utf-8", "replace")
    if how == "line":
        lines = text.split("\n")
        lines.insert(draw.randrange(len(lines) + 1), draw.choice(LINES))
        return "\n".join(lines).encode()
    if how == "json":
        values = [0, 5, -1, 10**30, 1.5, True, None, "10", "x", [], {}]
        entry = {draw.choice(["/etc/passwd", "../x", "", "a\0b", "0/0.jpg", "x" * 300]): draw.choice(values)}
        try:
            return json.dumps({**json.loads(text), **entry}).encode()
        except (ValueError, TypeError, RecursionError):
            return json.dumps(entry).encode()
    return draw.choice(
        [b"", b"\xff\xfe" + content, b"\xef\xbb\xbf" + content, content.replace(b"\n", b"\r\n"), b"\0" * 64]
        + [b"[" * 50_000, text.encode("utf-16"), text.encode("utf-16-le"), "é 1\n".encode("latin-1") + content]
    )


def _use_vtab(path: Path) -> None:
    config = dict(type=VTABDataset, data_root=str(path.parents[1]), dataset="dmlab", split="train800")
    check_dataset(ConfigDict(config))
    expected = []
    for line in path.read_bytes().decode("utf-8-sig").replace("\r", "\n").split("\n"):
        if line.strip():
            image, label = line.strip().rsplit(None, 1)
            expected.append((path.parent / image.strip(), int(label)))
    _compare(_items(config), expected, path.parent, CLASSES)


def _use_fgvc(path: Path) -> None:
    config = dict(type=FGVCDataset, data_root=str(path.parent), dataset="mine", split="train", num_classes=3)
    check_dataset(ConfigDict(config))
    listed = json.loads(path.read_text(encoding="utf-8-sig"))
    expected = [(path.parent / "images" / image, int(label) // 10) for image, label in listed.items()]
    _compare(_items(config), expected, path.parent, 3)


def _items(config: dict[str, Any]) -> list[dict[str, Any]]:
    arguments = dict(config)
    kind = arguments.pop("type")
    return kind(**arguments, lazy_init=True).load_data_list()


def _compare(items: list[dict[str, Any]], expected: list[tuple[Path, int]], root: Path, classes: int) -> None:
    read = [(Path(item["img_path"]), item["gt_label"]) for item in items]
    if read != expected:
        raise Wrong(f"read {read[:5]}, expected {expected[:5]}")
    for image, label in read:
        if not 0 <= label < classes:
            raise Wrong(f"label {label}")
        if root.resolve() not in image.resolve().parents:
            raise Wrong(f"{image} is outside of {root}")
        if not image.is_file():
            raise Wrong(f"{image} is no file")
