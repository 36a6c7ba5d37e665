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

from davpt_seg.apis import TaskPredictor, load_adapter
from davpt_seg.apis.pixels import ImageReader
from davpt_seg.apis.predictor import Predictor
from davpt_seg.apis.trained import load_trained
from davpt_seg.errors import InputError

from ..checkpoints import Trained
from ..datasets.test_unreadable import FILES, png

PLAIN = [dict(type="LoadImageFromFile"), dict(type="PackSegInputs")]
DEEP = [dict(type="LoadImageFromFile", color_type=3), dict(type="ToEightBit", max_value=4095)]


def reader(pipeline: list[Any]) -> ImageReader:
    init_default_scope("mmseg")
    import mmseg.datasets.transforms  # noqa: F401

    return ImageReader(pipeline)


def tensor(bgr: np.ndarray) -> torch.Tensor:
    """Return RGB (3, H, W)."""
    return torch.from_numpy(bgr[..., ::-1].transpose(2, 0, 1).copy())


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
    "a tensor": lambda bgr: tensor(bgr),
    "a tensor, not contiguous": lambda bgr: tensor(bgr).mT.contiguous().mT,
    "a tensor (H, W, 3)": lambda bgr: torch.from_numpy(bgr),
    "a tensor (1, H, W)": lambda bgr: torch.from_numpy(bgr[..., 0].copy())[None],
    "a tensor (1, 3, H, W)": lambda bgr: tensor(bgr)[None],
    "a tensor without pixels": lambda bgr: tensor(bgr)[:, :0],
    "a tensor of fractions": lambda bgr: tensor(bgr) / 255,
    "a tensor of int64": lambda bgr: tensor(bgr).long(),
    "a tensor of bool": lambda bgr: tensor(bgr) > 127,
    "a tensor without values": lambda bgr: tensor(bgr).to("meta"),
    "a sparse tensor": lambda bgr: tensor(bgr).to_sparse(),
    "a list": lambda bgr: bgr.tolist(),
    "bytes": lambda bgr: cv2.imencode(".png", bgr)[1].tobytes(),
    "None": lambda bgr: None,
    **{
        f"Pillow {mode}": lambda bgr, mode=mode: Image.fromarray(bgr[..., ::-1].copy()).convert(mode)
        for mode in ("RGB", "CMYK", "YCbCr", "LAB", "HSV", "I", "F")
    },
    "Pillow I;16": lambda bgr: Image.fromarray(bgr[..., 0].astype(np.uint16)),
}


AS_FILES = ("as it is", "read only", "not contiguous", "a tensor", "a tensor, not contiguous", "Pillow RGB")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_pixels_are_those_of_their_file_or_are_refused(layout: str, tmp_path: Path) -> None:
    rng, read = np.random.default_rng(0), reader(PLAIN)
    for i in range(10):
        # 4 pixels or more: of (3, width, 3) nothing tells which 3 are the channels
        bgr = rng.integers(0, 256, (*rng.integers(4, 9, 2), 3), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / f"{i}.png"), bgr)
        given = LAYOUTS[layout](bgr)
        if layout in AS_FILES:
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
        ("a tensor (H, W, 3)", "tensor.permute(2, 0, 1)"),
        ("a tensor (1, H, W)", "tensor.expand(3, -1, -1)"),
        ("a tensor of fractions", "(255 * tensor).round().to(torch.uint8)"),
        ("Pillow CMYK", "image.convert('RGB')"),
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
    for given in (image, Image.open(path)):
        assert np.array_equal(reader(PLAIN)(path), reader(PLAIN)(given))


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
    with pytest.raises(InputError, match="is a folder; pass the files in it"):
        reader(PLAIN)(tmp_path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        *((content, says) for content, says in FILES.values() if "Pillow" not in says),
        (png(20_000, 10_000), "it is cut off or damaged: get it again"),  # OpenCV would read so many pixels
        (png(60_000, 60_000), "it has more pixels than the 1,073,741,824 that OpenCV reads: cut image"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_the_reason(content: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"image\.png' is no image that can be read, or a broken one: ") as refused:
        reader(PLAIN)(path)
    assert says.replace("it is truncated (cut off)", "it is cut off or damaged") in str(refused.value)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("color_type", ["color", "color_ignore_orientation"])
def test_a_pil_image_is_turned_as_its_file_is(orientation: int, color_type: str, tmp_path: Path) -> None:
    exif, path = Image.Exif(), tmp_path / "image.png"
    exif[0x0112] = orientation
    rgb = np.random.default_rng(0).integers(0, 256, (6, 5, 3), dtype=np.uint8)
    Image.fromarray(rgb).save(path, exif=exif)
    read = reader([dict(type="LoadImageFromFile", color_type=color_type)])
    assert np.array_equal(read(Image.open(path)), read(path))


@pytest.mark.parametrize("mode", ["I;16", "I", "F"])
def test_deep_pil_images_and_tensors_are_read_in_the_stated_range(mode: str) -> None:
    values = np.random.default_rng(0).integers(0, 4096, (6, 5)).astype(np.uint16)
    kind = {"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]
    read = reader(DEEP)
    expected = read(values)
    assert np.array_equal(read(Image.fromarray(values.astype(kind))), expected)
    deep = torch.from_numpy(values.astype(np.int32)).expand(3, -1, -1)
    assert np.array_equal(read(deep), expected)
    for wrong in (Image.new("RGB", (4, 4)), torch.zeros(3, 4, 4, dtype=torch.uint8), Image.new("L", (4, 4))):
        with pytest.raises(InputError):
            read(wrong)


def test_a_pil_image_whose_file_is_cut_off_or_closed_is_named(tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(path)
    closed = Image.open(path)
    closed.close()
    cut = tmp_path / "cut.png"
    cut.write_bytes(path.read_bytes()[:600])
    for image, name in ((closed, "image.png"), (Image.open(cut), "cut.png")):
        with pytest.raises(InputError, match=name):
            reader(PLAIN)(image)


def test_a_predictor_predicts_a_list_of_images_of_any_kind_and_names_the_wrong_one(trained: Trained) -> None:
    predictor, path = Predictor(trained.checkpoint, device="cpu"), Path(trained.images[0])
    bgr = mmcv.imread(path)
    rgb = Image.fromarray(bgr[..., ::-1].copy())
    expected = predictor(path)
    for several in ([str(path), path, bgr, rgb, tensor(bgr)], (path,), []):
        found = predictor(several)
        assert isinstance(found, list)
        assert len(found) == len(several)
        assert all(np.array_equal(labels, expected) for labels in found)
    with pytest.raises(InputError, match=r"image 2 of 3: image '/nowhere\.jpg' does not exist"):
        predictor([path, "/nowhere.jpg", path])
    with pytest.raises(InputError, match="image 1 of 1: an image is given as list"):
        predictor([[path]])


@pytest.mark.parametrize("bad", [5, None, b"x.pth", "", [], {}, np.zeros(3)], ids=repr)
def test_what_is_no_path_is_refused_by_the_name_of_the_argument(bad: Any) -> None:
    for act, argument in (
        (lambda: Predictor(bad), "checkpoint"),
        (lambda: Predictor("x.pth", 5), "config"),
        (lambda: load_adapter(bad), "folder"),
        (lambda: load_trained("method=davpt", bad), "checkpoint"),
        (lambda: load_trained(bad, "x.pth"), "config"),
        (lambda: TaskPredictor({"street": bad}), "an adapter"),
    ):
        with pytest.raises(InputError, match=rf"^{argument}.* must be a path, as a text or a pathlib\.Path; got"):
            act()


def test_places_may_be_paths_everywhere(trained: Trained) -> None:
    expected = Predictor(trained.checkpoint, trained.config, device="cpu")(trained.images[0])
    predictor = Predictor(Path(trained.checkpoint), Path(trained.config), device="cpu")
    assert np.array_equal(predictor(Path(trained.images[0])), expected)
    load_trained(Path(trained.config), Path(trained.checkpoint))


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
