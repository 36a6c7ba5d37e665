"""A file that is no image is named with the reason, in a data loader's worker too."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmengine.dataset import BaseDataset, Compose
from mmengine.registry import init_default_scope
from PIL import Image
from torch.utils.data import DataLoader

from davpt_seg.datasets.named_files import NamedFiles, name_files
from davpt_seg.datasets.pictures import UNREADABLE, looks_damaged, read_picture, why_unreadable
from davpt_seg.errors import InputError


def png(width: int, height: int) -> bytes:
    """Return a PNG file that states a size, with nearly no pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def file_of(kind: str, **options: Any) -> bytes:
    content = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(content, kind, **options)
    return content.getvalue()


FILES = {
    "empty": (b"", "the file is empty"),
    "page": (b"\n<!DOCTYPE html>"[1:], "it is a web page, not an image: download it again"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\n", "run 'git lfs pull'"),
    "text": (b"an image", "it is no image"),
    "cut jpeg": (file_of("JPEG")[:-40], "it is truncated (cut off): get it again"),
    "cut png": (file_of("PNG")[:-400], "it is truncated (cut off): get it again"),
    "no pixels": (png(0, 7), "it has no pixels"),
    "too large": (png(20_000, 10_000), "it has 200,000,000 pixels, and Pillow reads at most 178,956,970: cut image"),
    "64 bits": (b"II*\0" + struct.pack("<IH", 8, 0) + bytes(8), "a TIFF of a kind that Pillow does not read"),
}


@pytest.mark.parametrize("name", FILES)
def test_the_reason_is_named_by_path_and_by_content(name: str, tmp_path: Path) -> None:
    content, says = FILES[name]
    path = tmp_path / "image.png"
    path.write_bytes(content)
    with pytest.raises(UNREADABLE) as raised:
        read_picture(str(path), decode=True)
    assert says in why_unreadable(raised.value, str(path))
    assert says in why_unreadable(raised.value, content)


@pytest.mark.parametrize(("kind", "end"), [("JPEG", 30), ("PNG", 30)])
def test_a_file_without_its_end_looks_damaged_and_a_complete_one_does_not(kind: str, end: int, tmp_path: Path) -> None:
    path = tmp_path / "image"
    for content, damaged in (
        (file_of(kind), False),
        (file_of(kind, exif=Image.Exif()), False),
        (file_of(kind)[:-end], True),
        (b"<html>", True),
        (file_of("BMP"), False),
        (b"", False),  # the check of sizes names it
    ):
        path.write_bytes(content)
        assert looks_damaged(str(path)) == damaged


@pytest.mark.parametrize("backend", ["cv2", "pillow"])
@pytest.mark.parametrize("name", ["empty", "page", "text", "cut png", "cut jpeg", "no pixels"])
def test_a_loading_step_names_its_file_whatever_reads_it(backend: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / "0003.png"
    path.write_bytes(FILES[name][0])
    with pytest.raises(InputError, match=r"image '.*0003\.png' cannot be read: (it is|it has|the file)"):
        NamedFiles(pipeline(backend))(dict(img_path=str(path)))


def pipeline(backend: str = "cv2") -> Compose:
    init_default_scope("mmseg")
    import mmseg.datasets.transforms  # noqa: F401

    return Compose([dict(type="LoadImageFromFile", imdecode_backend=backend)])


class _Images(BaseDataset):
    def load_data_list(self) -> list[dict[str, Any]]:
        return [dict(img_path=path) for path in sorted(map(str, Path(self.data_root).iterdir()))]


@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_that_is_emptied_after_the_start_is_named_in_a_worker_too(workers: int, tmp_path: Path) -> None:
    for i in range(4):
        (tmp_path / f"{i:04d}.png").write_bytes(file_of("PNG"))
    pipeline()
    dataset = _Images(data_root=str(tmp_path), pipeline=[dict(type="LoadImageFromFile")])
    name_files(dataset)
    loader = DataLoader(dataset, batch_size=None, num_workers=workers, prefetch_factor=1 if workers else None)
    batches = iter(loader)
    next(batches)
    (tmp_path / "0003.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"image '.*0003\.png' cannot be read: the file is empty: get it again"):
        list(batches)


def test_other_errors_of_a_pipeline_pass_as_they_are(tmp_path: Path) -> None:
    def broken(data: dict[str, Any]) -> None:
        raise ValueError("not of a file")

    with pytest.raises(ValueError, match=r"^not of a file$"):
        NamedFiles(Compose([broken]))(dict(img_path="x.png"))
    assert NamedFiles(Compose([lambda data: None]))(dict(img_path="x.png")) is None
