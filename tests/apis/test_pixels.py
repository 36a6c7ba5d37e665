"""What Predictor makes of a picture: the same as of its file, or a named refusal; never something else."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

import cv2
import mmcv
import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from PIL import Image

from davpt_seg.apis.pixels import ImageReader
from davpt_seg.apis.predictor import Predictor
from davpt_seg.errors import InputError

from ..checkpoints import Trained

PLAIN = [dict(type="LoadImageFromFile"), dict(type="PackSegInputs")]
DEEP = [dict(type="LoadImageFromFile", color_type=3), dict(type="ToEightBit", max_value=4095)]


def reader(pipeline: list[Any]) -> ImageReader:
    init_default_scope("mmseg")
    import mmseg.datasets.transforms  # noqa: F401

    return ImageReader(pipeline)


# Every way that a picture of BGR pixels (H, W, 3) uint8 comes to us.
LAYOUTS: dict[str, Callable[[np.ndarray], Any]] = {
    "as it is": lambda bgr: bgr,
    "read only": lambda bgr: np.broadcast_to(bgr, bgr.shape),
    "not contiguous": lambda bgr: np.asfortranarray(bgr),
    "channels first": lambda bgr: bgr.transpose(2, 0, 1),
    "gray": lambda bgr: bgr[..., 0],
    "gray with an axis": lambda bgr: bgr[..., :1],
    "with alpha": lambda bgr: np.dstack([bgr, bgr[..., 0]]),
    "two channels": lambda bgr: bgr[..., :2],
    "a batch": lambda bgr: bgr[None],
    "no pixel": lambda bgr: bgr[:0],
    "a scalar": lambda bgr: np.array(7, np.uint8),
    "uint16": lambda bgr: bgr.astype(np.uint16) * 257,
    "int64": lambda bgr: bgr.astype(np.int64),
    "int8": lambda bgr: bgr.astype(np.int8),
    "bool": lambda bgr: bgr > 127,
    "fractions": lambda bgr: (bgr / 255).astype(np.float32),
    "floats to 255": lambda bgr: bgr.astype(np.float64),
    "float16": lambda bgr: bgr.astype(np.float16),
    "NaN": lambda bgr: np.full(bgr.shape, np.nan),
    "infinite": lambda bgr: np.full(bgr.shape, np.inf, np.float32),
    "complex": lambda bgr: bgr.astype(complex),
    "objects": lambda bgr: bgr.astype(object),
    "text": lambda bgr: bgr.astype(str),
    "masked": lambda bgr: np.ma.masked_less(bgr, 100),
    "a tensor": lambda bgr: torch.from_numpy(bgr.transpose(2, 0, 1).copy()),
    "a list": lambda bgr: bgr.tolist(),
    "bytes": lambda bgr: cv2.imencode(".png", bgr)[1].tobytes(),
    "None": lambda bgr: None,
    **{
        f"Pillow {mode}": lambda bgr, mode=mode: Image.fromarray(bgr[..., ::-1].copy()).convert(mode)
        for mode in ("RGB", "P", "L", "1", "LA", "RGBA", "CMYK", "YCbCr", "I", "F")
    },
    "Pillow I;16": lambda bgr: Image.fromarray(bgr[..., 0].astype(np.uint16)),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_pixels_are_those_of_their_file_or_are_refused(layout: str, tmp_path: Path) -> None:
    rng, read = np.random.default_rng(0), reader(PLAIN)
    for i in range(10):
        # 4 pixels or more: of (3, width, 3) nothing tells which 3 are the channels
        bgr = rng.integers(0, 256, (*rng.integers(4, 9, 2), 3), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / f"{i}.png"), bgr)
        given = LAYOUTS[layout](bgr)
        if layout in ("as it is", "read only", "not contiguous"):
            assert np.array_equal(read(given), read(str(tmp_path / f"{i}.png")))
        else:
            with pytest.raises(InputError, match=r"BGR pixels \(height, width, 3\) of np\.uint8"):
                read(given)


@pytest.mark.parametrize(
    ("layout", "advice"),
    [
        ("channels first", "image.transpose(1, 2, 0)"),
        ("gray", "cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)"),
        ("with alpha", "image[..., :3]"),
        ("no pixel", "it has no pixel"),
        ("uint16", "(image * (255 / 4095))"),
        ("fractions", "numpy.rint(255 * image)"),
        ("int64", "image.astype(numpy.uint8)"),
        ("a tensor", "tensor.permute(1, 2, 0)"),
        ("Pillow P", "image.convert('RGB')"),
    ],
)
def test_a_refusal_says_how_to_convert(layout: str, advice: str) -> None:
    bgr = np.random.default_rng(0).integers(0, 256, (6, 5, 3), dtype=np.uint8)
    with pytest.raises(InputError) as refused:
        reader(PLAIN)(LAYOUTS[layout](bgr))
    assert advice in str(refused.value)


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1", "LA", "RGBA"])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_a_file_of_8_bits_is_read_as_pillow_shows_its_colours(mode: str, suffix: str, tmp_path: Path) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (6, 5, 3), dtype=np.uint8)
    image = Image.fromarray(rgb).convert(mode)
    path = tmp_path / f"image.{suffix}"
    image.save(path)
    if mode == "LA" and suffix == "tif":
        return  # a format that OpenCV reads with another number of channels
    assert np.array_equal(reader(PLAIN)(path), np.asarray(image.convert("RGB"))[..., ::-1])


def test_files_of_more_than_8_bits_are_refused_whatever_their_name(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for kind, suffix in ((np.uint16, "png"), (np.uint16, "tif"), (np.uint16, "ppm"), (np.float32, "tif")):
        for shape in ((6, 5), (6, 5, 3)):
            path = tmp_path / f"image.{'pgm' if suffix == 'ppm' and len(shape) == 2 else suffix}"
            cv2.imwrite(str(path), rng.integers(0, 4096, shape).astype(kind))
            renamed = path.rename(tmp_path / "image.jpg")
            with pytest.raises(InputError, match=r"bits a channel, of which the pipeline reads 8.*ToEightBit"):
                reader(PLAIN)(renamed)


def test_a_stated_range_reads_files_and_arrays_alike(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 4096, (6, 5, 3)).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "image.png"), values)
    read = reader(DEEP)
    expected = np.round(values / 4095 * 255).astype(np.uint8)
    assert np.array_equal(read(tmp_path / "image.png"), expected)
    assert np.array_equal(read(values), expected)
    for wrong in (expected, values / 4095, np.full((2, 2, 3), np.nan), values + np.uint16(4096)):
        with pytest.raises(InputError):
            read(wrong)


def test_a_predictor_refuses_what_the_reader_does_and_takes_the_rest_as_the_file(
    trained: Trained, tmp_path: Path
) -> None:
    predictor = Predictor(trained.checkpoint, device="cpu")
    bgr = mmcv.imread(trained.images[0])
    assert np.array_equal(predictor(bgr), predictor(trained.images[0]))
    assert np.array_equal(predictor(Path(trained.images[0])), predictor(trained.images[0]))
    for wrong in (bgr.astype(np.uint16) * 16, bgr / 255, bgr.transpose(2, 0, 1), bgr[..., 0]):
        with pytest.raises(InputError, match="BGR pixels"):
            predictor(wrong)
    deep = bgr.astype(np.uint16) * 16
    cv2.imwrite(str(tmp_path / "deep.png"), deep)
    with pytest.raises(InputError, match=r"deep\.png' has 16 bits a channel"):
        predictor(str(tmp_path / "deep.png"))


def test_a_predictor_reads_deep_images_by_the_range_that_its_config_states(trained: Trained, tmp_path: Path) -> None:
    from mmengine.config import Config

    cfg = Config.fromfile(trained.config)
    cfg.test_dataloader.dataset.pipeline[:1] = [DEEP[0], dict(type="ToEightBit", max_value=4080)]
    bgr = mmcv.imread(trained.images[0])
    deep = bgr.astype(np.uint16) * 16
    cv2.imwrite(str(tmp_path / "deep.png"), deep)
    expected = Predictor(trained.checkpoint, trained.config, device="cpu")(bgr)
    predictor = Predictor(trained.checkpoint, cfg, device="cpu")
    assert np.array_equal(predictor(deep), expected)
    assert np.array_equal(predictor(str(tmp_path / "deep.png")), expected)


def test_a_folder_is_no_image(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no image that can be read"):
        reader(PLAIN)(tmp_path)


@pytest.mark.parametrize("given", ["config", "checkpoint"])
def test_a_predictor_turns_images_as_its_training_did(given: str, trained: Trained, tmp_path: Path) -> None:
    """Whether the config comes from a file, or from the checkpoint, which holds what training made of it."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / "turned.jpg", exif=exif)
    config = trained.config if given == "config" else None
    for options, shape in ((None, (30, 20)), ({"data_check.exif": "stored"}, (20, 30))):
        predictor = Predictor(trained.checkpoint, config, device="cpu", options=options)
        assert predictor.read(tmp_path / "turned.jpg").shape[:2] == shape
