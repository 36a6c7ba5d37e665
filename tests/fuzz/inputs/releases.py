"""Files of released data sets that the converters read, changed: ``.mat`` files, JSON and text lists."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.io

from davpt_seg.converters.fgvc_release import read_release
from davpt_seg.converters.pascal_context import MatRelease, MergedJson

from ...converters.fgvc_releases import write_birds, write_cars, write_dogs, write_flowers
from ...converters.pascal_release import label_maps, write_json, write_mats, write_voc
from ..judge import Fuzz
from ..mutate import changed_bytes


class File(NamedTuple):
    """File of a release, and a function that reads the release."""

    path: Path
    read: Callable[[], object]


def fuzz(fuzz: Fuzz, folder: Path) -> None:
    """Judge releases with one changed file, and complete ones."""
    files = _files(folder)
    right = {file.path: file.path.read_bytes() for file in files}
    for draw in fuzz.draws():
        file = draw.choice(files)
        content = _changed(right[file.path], draw)
        file.path.write_bytes(content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scipy's, of unknown types
            complete = content == right[file.path]
            fuzz.judge(f"{file.path.name} {content[:80]!r}", file.read, (str(folder),), must_work=complete)
        file.path.write_bytes(right[file.path])


def _files(folder: Path) -> list[File]:
    files = []
    for name, write in (("flowers", write_flowers), ("dogs", write_dogs), ("cars", write_cars)):
        root = write(_made(folder / name))
        files += [File(path, lambda name=name, root=root: read_release(name, root)) for path in root.rglob("*.mat")]
    birds = write_birds(_made(folder / "birds"), {1: "001.Albatross", 2: "002.Auk"})
    files += [File(path, lambda: read_release("cub", birds)) for path in birds.glob("*.txt")]
    maps, voc = label_maps(), write_voc(folder / "voc")
    mats, merged = write_mats(folder / "mats", maps), write_json(folder / "merged.json", maps)
    first = mats / "trainval" / "2008_000002.mat"
    scipy.io.savemat(first, {"LabelMap": maps["2008_000002"].astype(np.uint16)}, do_compression=True)
    files += [
        File(path, lambda path=path: MatRelease(mats, voc).mask(path.stem))
        for path in (first, mats / "trainval" / "2008_000003.mat")
    ]
    lists = [mats / "labels.txt", voc / "ImageSets" / "Main" / "train.txt"]
    files += [File(path, lambda: MatRelease(mats, voc).splits) for path in lists]
    return [*files, File(merged, lambda: MergedJson(merged).mask("2008_000002"))]


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _changed(content: bytes, draw: random.Random) -> bytes:
    how = draw.choice(["right", *["bytes"] * 6, "twice", "empty", "other encoding", "brackets"])
    if how == "right":
        return content
    if how == "bytes":
        return changed_bytes(content, draw, 0, draw.choice([min(200, len(content)), len(content)]))
    if how == "twice":
        return content + content
    if how == "other encoding":
        return content.decode("latin-1").encode("utf-16")
    return b"" if how == "empty" else b"[" * 5000
