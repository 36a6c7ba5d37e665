"""Images and masks of many formats, with changed bytes: each reader gives pixels, or names the file."""

from __future__ import annotations

import io
import logging
import random
import warnings
from pathlib import Path

import numpy as np
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope
from PIL import Image

from davpt_seg.apis.pixels import ImageReader
from davpt_seg.audit.exif import Readers
from davpt_seg.audit.preflight_files import refuse_damaged
from davpt_seg.audit.segmentation_audit import examine
from davpt_seg.datasets.load_label_map import MOST, read_label_map
from davpt_seg.datasets.named_files import NamedFiles

from ..judge import Fuzz, Wrong
from ..mutate import changed_bytes

PIPELINE = [dict(type="LoadImageFromFile"), dict(type="LoadLabelMap")]
OTHERS = (b"", b"\0", b"<html>", b"version https://git-lfs", b"[" * 5000, "mask".encode("utf-16"), b"\xff\xd8\xff")


def fuzz(fuzz: Fuzz, folder: Path) -> None:
    """Judge changed files of each format and mode with each reader, and right ones."""
    init_default_scope("mmseg")
    import mmseg.datasets.transforms  # noqa: F401

    files, readers = _files(), Readers(PIPELINE)
    load, read = NamedFiles(Compose(PIPELINE[:1])), ImageReader(PIPELINE[:1])
    labels = np.arange(MOST + 1) % 200
    logging.getLogger("PIL").setLevel(logging.ERROR)
    for draw in fuzz.draws():
        name = draw.choice(list(files))
        content = _changed(files[name], draw)
        path = folder / f"image.{name.split()[0].lower()}"
        path.write_bytes(content)

        def use(path: Path = path, content: bytes = content, draw: random.Random = draw) -> None:
            reader = draw.choice(["mask", "audit", "load", "predict", "preflight"])
            if reader == "mask":
                values = read_label_map(content, str(path))
                if values.ndim != 2 or not values.size or values.dtype not in (np.uint8, np.uint16):
                    raise Wrong(f"values of shape {values.shape} and type {values.dtype}")
            elif reader == "audit":
                found = examine(dict(img_path=str(path), seg_map_path=str(path)), labels, True, readers)
                if found.histogram is not None and not found.histogram.sum():
                    raise Wrong("a histogram of nothing")
            elif reader == "preflight":
                refuse_damaged(str(path), [str(path)])
            else:
                image = load(dict(img_path=str(path)))["img"] if reader == "load" else read(path)
                if image.ndim != 3 or image.dtype != np.uint8:
                    raise Wrong(f"an image of shape {image.shape} and type {image.dtype}")

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, of damaged metadata
            fuzz.judge(f"{name}, {len(content)} bytes", use, (path.name,))


def _files() -> dict[str, bytes]:
    """Return files by format and mode."""
    values = np.random.default_rng(0).integers(0, 12, (24, 20)).astype(np.uint8)
    gray, files = Image.fromarray(values), {}
    for kind, modes in (
        ("PNG", ("L", "P", "1", "LA", "RGB", "RGBA", "I;16")),
        ("TIFF", ("L", "P", "1", "LA", "RGB", "CMYK", "I;16", "I", "F")),
        ("JPEG", ("L", "RGB", "CMYK")),
        *((kind, ("L", "RGB")) for kind in ("BMP", "WEBP", "PPM", "GIF")),
    ):
        for mode in modes:
            image = Image.fromarray(values.astype(np.uint16)) if mode == "I;16" else gray.convert(mode)
            file = io.BytesIO()
            image.save(file, kind)
            files[f"{kind} {mode}"] = file.getvalue()
    return files


def _changed(content: bytes, draw: random.Random) -> bytes:
    how = draw.choice(["right", *["bytes"] * 5, *["header"] * 4, "other"])
    if how == "other":
        return draw.choice(OTHERS)
    return content if how == "right" else changed_bytes(content, draw, 0, 64 if how == "header" else -1)
