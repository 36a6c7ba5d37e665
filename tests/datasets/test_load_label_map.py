"""LoadLabelMap: mmseg's labels of 8-bit masks, and the stored values of deeper ones."""

from __future__ import annotations

import io
import struct
import zlib
from itertools import product
from pathlib import Path
from typing import Any, Optional

import numpy as np
import pytest
from mmengine.registry import init_default_scope
from PIL import Image

from davpt_seg.datasets import LoadLabelMap
from davpt_seg.errors import DataError, InputError

DEEP = np.array([[0, 1, 255, 256], [257, 300, 4095, 65535]], dtype=np.uint16)


def load(loader: Any, path: Path, zero_is_void: bool = False, label_map: Optional[dict[int, int]] = None) -> np.ndarray:
    results = dict(seg_map_path=str(path), reduce_zero_label=zero_is_void, label_map=label_map, seg_fields=[])
    return loader(results)["gt_seg_map"]


@pytest.mark.parametrize(
    ("mode", "suffix", "zero_is_void", "label_map"),
    product("LP1", ("png", "tif", "bmp"), (False, True), (None, {0: 255, 1: 0, 2: 1, 254: 2, 255: 7})),
)
def test_8_bit_masks_are_what_mmsegs_own_step_makes_of_them(
    mode: str, suffix: str, zero_is_void: bool, label_map: Optional[dict[int, int]], tmp_path: Path
) -> None:
    init_default_scope("mmseg")
    from mmseg.datasets.transforms import LoadAnnotations

    values = np.random.default_rng(0).permuted(np.arange(256, dtype=np.uint8)).reshape(16, 16)
    image = Image.fromarray(values > 127) if mode == "1" else Image.fromarray(values)
    if mode == "P":
        image.putpalette(np.random.default_rng(1).integers(0, 256, 768, dtype=np.uint8).tobytes())
    image.save(tmp_path / f"mask.{suffix}")
    expected = load(LoadAnnotations(), tmp_path / f"mask.{suffix}", zero_is_void, label_map)
    found = load(LoadLabelMap(), tmp_path / f"mask.{suffix}", zero_is_void, label_map)
    assert found.dtype == expected.dtype == np.uint8
    assert np.array_equal(found, expected)


def test_masks_of_16_and_32_bits_keep_their_values(tmp_path: Path) -> None:
    for suffix in ("png", "tif"):
        Image.fromarray(DEEP).save(tmp_path / f"16.{suffix}")
    Image.fromarray(DEEP.astype(np.int32)).save(tmp_path / "32.tif")
    Image.fromarray(DEEP.astype(">u2")).save(tmp_path / "big_endian.tif")
    for path in tmp_path.iterdir():
        found = load(LoadLabelMap(ignore_index=65535), path)
        assert found.dtype == np.uint16
        assert np.array_equal(found, DEEP), path


def test_void_and_omitted_classes_become_the_ignore_index_of_ones_choice(tmp_path: Path) -> None:
    Image.fromarray(DEEP).save(tmp_path / "mask.png")
    Image.fromarray(np.array([[0, 1, 255]], dtype=np.uint8)).save(tmp_path / "shallow.png")
    loader = LoadLabelMap(ignore_index=65535)
    expected = [[65535, 0, 254, 255], [256, 299, 4094, 65535]]
    assert load(loader, tmp_path / "mask.png", zero_is_void=True).tolist() == expected
    assert load(loader, tmp_path / "shallow.png", zero_is_void=True).tolist() == [[65535, 0, 254]]  # 255 is a class
    chosen = load(loader, tmp_path / "mask.png", label_map={0: 255, 300: 0})
    assert chosen.tolist() == [[65535, 1, 255, 256], [257, 0, 4095, 65535]]


def test_an_image_without_mask_passes() -> None:
    results = dict(img_path="street.jpg")
    assert LoadLabelMap()(results) is results


def test_a_subset_so_large_that_255_may_be_a_class_is_refused(tmp_path: Path) -> None:
    Image.fromarray(DEEP).save(tmp_path / "mask.png")
    with pytest.raises(DataError, match="subset of 255 classes or more"):
        load(LoadLabelMap(65535), tmp_path / "mask.png", label_map={i + 1: i for i in range(256)})


def write_four_bits(path: Path) -> None:
    """Write a gray PNG of 4 bits a pixel, which Pillow reads but does not write."""
    import struct
    import zlib

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 2, 1, 4, 0, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0\x12")) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("colours.png", "has Pillow mode RGB: it is a colour image"),
        ("colours_16.png", "has Pillow mode RGB: it is a colour image"),
        ("alpha.png", "has Pillow mode LA"),
        ("alpha_16.png", "has Pillow mode LA and 16 bits"),
        ("equal.png", "Its three channels are equal; keep one: PIL.Image.open(FILE).getchannel(0).save(FILE)"),
        ("printing.tif", "has Pillow mode CMYK: it is a colour image in printing colours"),
        ("nan.tif", "holds fractions (Pillow mode F), for instance nan"),
        ("infinite.tif", "holds fractions (Pillow mode F), for instance inf"),
        ("below.tif", "holds values from -1 to 2"),
        ("above.tif", "holds values from 2 to 65536"),
        ("deep.tif", "cannot be read: it is a TIFF of a kind that Pillow does not read"),
        ("cut.png", "cannot be read: it is truncated (cut off): get it again"),
        ("empty.png", "cannot be read: the file is empty: get it again"),
        ("fractions.tif", "holds fractions"),
        ("negative.tif", "holds values from -1 to 3; class numbers must be from 0 to 65535"),
        ("large.tif", "holds values from 0 to 65536"),
        ("pages.tif", "has 2 pages"),
        ("four.png", "has 4 bits a pixel, so reading stretches its values"),
    ],
)
def test_a_file_that_holds_no_class_numbers_is_refused_by_name(name: str, message: str, tmp_path: Path) -> None:
    import cv2

    path = tmp_path / name
    gray = Image.new("L", (2, 1))
    write = {
        "colours.png": lambda: Image.new("RGB", (2, 1)).save(path),
        "colours_16.png": lambda: cv2.imwrite(str(path), np.zeros((1, 2, 3), np.uint16)),
        "alpha.png": lambda: Image.new("LA", (2, 1)).save(path),
        "alpha_16.png": lambda: path.write_bytes(_deep_gray_with_alpha()),
        "equal.png": lambda: Image.new("RGB", (2, 1), (7, 7, 7)).save(path),
        "printing.tif": lambda: Image.new("CMYK", (2, 1)).save(path),
        "nan.tif": lambda: Image.fromarray(np.float32([[np.nan, 2]])).save(path),
        "infinite.tif": lambda: Image.fromarray(np.float32([[np.inf, 2]])).save(path),
        "below.tif": lambda: Image.fromarray(np.float32([[-5, 2]])).save(path),
        "above.tif": lambda: Image.fromarray(np.float32([[1e9, 2]])).save(path),
        "deep.tif": lambda: cv2.imwrite(str(path), np.zeros((1, 2))),
        "cut.png": lambda: path.write_bytes(_png(Image.effect_noise((64, 64), 50))[:600]),
        "empty.png": lambda: path.write_bytes(b""),
        "fractions.tif": lambda: Image.fromarray(np.float32([[1.5, 2]])).save(path),
        "negative.tif": lambda: Image.fromarray(np.int32([[-1, 3]])).save(path),
        "large.tif": lambda: Image.fromarray(np.int32([[0, 65536]])).save(path),
        "pages.tif": lambda: gray.save(path, save_all=True, append_images=[gray]),
        "four.png": lambda: write_four_bits(path),
    }
    write[name]()
    with pytest.raises(DataError, match=name) as refused:
        load(LoadLabelMap(), path)
    assert message in str(refused.value)


def _png(image: Image.Image) -> bytes:
    content = io.BytesIO()
    image.save(content, "PNG")
    return content.getvalue()


def _deep_gray_with_alpha() -> bytes:
    """Return a PNG file of 2 x 1 pixels in colour type 4 with 16 bits, which Pillow does not write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 1, 16, 4, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"\0" + b"\1\1\xff\xff" * 2))
    return b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["opaque alpha", "fractions", "1 bit"])
def test_what_holds_one_class_number_a_pixel_is_read_however_it_is_stored(kind: str, tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 2 if kind == "1 bit" else 200, (6, 5)).astype(np.uint8)
    image = {
        "opaque alpha": lambda: Image.fromarray(values).convert("LA"),
        "fractions": lambda: Image.fromarray(values.astype(np.float32)),
        "1 bit": lambda: Image.fromarray(values.astype(bool)),
    }[kind]()
    path = tmp_path / ("mask.tif" if kind == "fractions" else "mask.png")
    image.save(path)
    assert np.array_equal(load(LoadLabelMap(), path), values)


@pytest.mark.parametrize("ignore_index", [-1, 65536])
def test_an_ignore_index_that_16_bits_do_not_hold_is_refused(ignore_index: int) -> None:
    with pytest.raises(InputError, match=f"from 0 to 65535, got {ignore_index}"):
        LoadLabelMap(ignore_index)
