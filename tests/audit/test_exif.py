"""Images with an Exif orientation tag are trained on with their mask the right way up, or refused."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmengine.config import Config, ConfigDict
from mmengine.registry import DATASETS, init_default_scope
from PIL import Image

from davpt_seg.audit.data_check import DataCheck, read_as_stored
from davpt_seg.audit.exif import Readers
from davpt_seg.audit.exif_tag import drop_orientation
from davpt_seg.audit.overlays import both_readings
from davpt_seg.audit.preflight import check_dataset
from davpt_seg.commands.check_dataset import main_check_dataset
from davpt_seg.datasets.pictures import read_picture
from davpt_seg.errors import DataError

from .exif_images import TURN, labels_of, quadrants, write_tagged

KINDS = ("JPEG", "PNG", "WEBP", "TIFF")
STEPS = [
    dict(type="LoadImageFromFile", imdecode_backend=backend, color_type=color)
    for backend in ("cv2", "pillow")
    for color in ("color", "color_ignore_orientation", "unchanged")
]


@pytest.fixture(autouse=True)
def _scope() -> None:
    init_default_scope("mmseg")
    import mmseg.datasets  # noqa: F401


def loaded(path: Path, step: dict[str, Any]) -> np.ndarray:
    """What a loading step of a pipeline makes of a file, as labels."""
    from mmseg.registry import TRANSFORMS

    return labels_of(TRANSFORMS.build(dict(step))(dict(img_path=str(path)))["img"][:, :, ::-1])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_what_is_said_of_a_reader_is_what_it_does_to_known_pixels(orientation: int, kind: str, tmp_path: Path) -> None:
    stored = quadrants()
    path = tmp_path / f"image.{kind.lower()}"
    write_tagged(path, stored, orientation, kind)
    picture = read_picture(str(path), decode=False)
    assert (picture.orientation, picture.size) == (orientation, (48, 32))
    assert picture == read_picture(str(path), decode=True)._replace(values=None)
    upright = TURN[orientation](stored)
    assert picture.upright_size == upright.shape[::-1]
    for step in STEPS:
        turned = Readers([step]).turn_image(picture)
        np.testing.assert_array_equal(loaded(path, step), upright if turned else stored, err_msg=f"{step}")
    if orientation > 1 and kind != "TIFF":
        assert [Readers([step]).turn_image(picture) for step in STEPS] == [True, False, False] * 2
    for reading, labels in zip(both_readings(str(path)), (stored, upright)):
        np.testing.assert_array_equal(labels_of(np.asarray(reading)), labels)


@pytest.mark.parametrize("where", ["before the pixels", "after the pixels", "damaged"])
def test_the_tag_of_a_png_is_found_where_opencv_finds_it(where: str, tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    write_tagged(path, quadrants(), 6, "PNG")
    content = path.read_bytes()
    start = content.index(b"eXIf") - 4
    end = start + 12 + int.from_bytes(content[start : start + 4], "big")
    assert start < content.index(b"IDAT")
    if where != "before the pixels":
        chunk, rest = content[start:end], content[:start] + content[end:]
        if where == "damaged":
            chunk = chunk[:-1] + bytes([chunk[-1] ^ 1])
        path.write_bytes(rest[:-12] + chunk + rest[-12:])  # before IEND, the last chunk
    turned = loaded(path, STEPS[0]).shape == (48, 32)
    assert turned == (where != "damaged")
    assert read_picture(str(path), decode=False).turned == turned


def test_an_orientation_in_xmp_is_one_for_pillow_only(tmp_path: Path) -> None:
    write_tagged(tmp_path / "image.jpg", quadrants(), 6, xmp=True)
    picture = read_picture(str(tmp_path / "image.jpg"), decode=False)
    assert picture.orientation == 6
    for step in STEPS:
        shape = loaded(tmp_path / "image.jpg", step).shape
        assert Readers([step]).turn_image(picture) == (shape == (48, 32))


def test_a_tag_behind_the_pixels_of_a_png_is_seen_without_decoding(tmp_path: Path) -> None:
    path = tmp_path / "late.png"
    write_tagged(path, quadrants(), 6, "PNG")
    content = path.read_bytes()
    at = content.index(b"eXIf") - 4
    end = at + 12 + struct.unpack_from(">I", content, at)[0]
    last = content.index(b"IEND") - 4
    path.write_bytes(content[:at] + content[end:last] + content[at:end] + content[last:])
    assert read_picture(str(path), decode=False).orientation == 6
    assert loaded(path, STEPS[0]).shape == (48, 32)


# --- Training -----------------------------------------------------------------------------------------------------


def data_set(folder: Path, orientation: int, drawn: str, shape: tuple[int, int] = (32, 48), kind: str = "JPEG") -> Any:
    """A data set of two images with a tag and one without; masks were drawn on the ``stored`` or ``upright`` pixels."""
    stored = quadrants(*shape)
    (folder / "masks").mkdir(parents=True, exist_ok=True)
    for name, tag in (("a", orientation), ("b", orientation), ("c", 1)):
        write_tagged(folder / "images" / f"{name}.jpg", stored, tag, kind)
        labels = TURN[tag](stored) if drawn == "upright" else stored
        Image.fromarray(np.ascontiguousarray(labels)).save(folder / "masks" / f"{name}.png")
    return ConfigDict(
        type="BaseSegDataset",
        metainfo=dict(classes=("a", "b", "c", "d")),
        data_root=str(folder),
        data_prefix=dict(img_path="images", seg_map_path="masks"),
        pipeline=[
            dict(type="LoadImageFromFile"),
            dict(type="LoadAnnotations"),
            dict(type="CheckLabels", num_classes=4),
        ],
    )


def fits(config: Any) -> bool:
    """Whether every image as training reads it has its mask's labels at every pixel."""
    items = DATASETS.build(config)
    return all(np.array_equal(labels_of(item["img"][:, :, ::-1]), item["gt_seg_map"]) for item in items)


@pytest.mark.parametrize("shape", [(32, 48), (32, 32)])
@pytest.mark.parametrize("drawn", ["stored", "upright"])
@pytest.mark.parametrize("orientation", range(2, 9))
def test_training_starts_only_where_every_image_fits_its_mask(
    orientation: int, drawn: str, shape: tuple[int, int], tmp_path: Path
) -> None:
    """Whatever is accepted fits, pixel by pixel; whatever is refused has an option that makes it fit."""
    for said in (None, "stored", "upright"):
        config = data_set(tmp_path, orientation, drawn, shape)
        if said == "stored":
            read_as_stored(config)
        decided_by_size = orientation >= 5 and shape[0] != shape[1]
        message = ""
        try:
            check_dataset(config, DataCheck(exif=said))
        except DataError as error:
            message = str(error)
        accepted = not message
        assert accepted or "2 of 3 images have an Exif orientation tag" in message
        assert accepted or f"{tmp_path}/images/a.jpg: Exif orientation {orientation}, stored" in message
        if said == drawn:
            assert accepted
        if accepted and (said == drawn or decided_by_size or said is None):
            assert fits(config)
        if said is None:
            assert accepted == (decided_by_size and drawn == "upright")


def test_each_case_is_refused_with_its_cure(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"size of the pixels as stored\. Drop the tags.*--drop-orientation"):
        check_dataset(data_set(tmp_path / "a", 6, "stored"))
    with pytest.raises(DataError, match=r"--overlays DIR.*data_check\.exif=upright if .*data_check\.exif=stored if"):
        check_dataset(data_set(tmp_path / "c", 3, "upright"))
    as_stored = data_set(tmp_path / "b", 6, "upright")
    read_as_stored(as_stored)
    with pytest.raises(DataError, match=r"are read as stored, while their masks have the size of the upright image"):
        check_dataset(as_stored)


def test_a_pipeline_that_ignores_tags_says_which_pixels_count(tmp_path: Path) -> None:
    config = data_set(tmp_path, 3, "stored")
    config.pipeline[0].color_type = "color_ignore_orientation"
    assert check_dataset(config) == 3
    assert fits(config)


@pytest.mark.parametrize(
    "step",
    [
        dict(type="LoadImageFromFile", color_type=3),  # as deep images are read, before ToEightBit
        dict(type="LoadImageFromFile", color_type="grayscale"),
        dict(type="mmcv.LoadImageFromFile"),
    ],
)
def test_any_loading_step_can_be_made_to_read_images_as_stored(step: dict[str, Any], tmp_path: Path) -> None:
    config = data_set(tmp_path, 6, "stored")
    config.pipeline[0] = dict(step)
    with pytest.raises(DataError, match="are turned when read"):
        check_dataset(config, DataCheck(exif="stored"))
    read_as_stored(config)
    assert check_dataset(config, DataCheck(exif="stored")) == 3
    assert check_dataset(config) == 3  # the step says it
    assert all(item["img"].shape[:2] == item["gt_seg_map"].shape for item in DATASETS.build(config))


@pytest.mark.parametrize("nested", [False, True])
def test_the_mask_loader_of_the_pipeline_is_asked(nested: bool) -> None:
    step = dict(type="LoadLabelMap", ignore_index=200)
    inner = dict(type="TestTimeAug", transforms=[[dict(type="Resize", scale=(8, 8))], [step]]) if nested else step
    assert Readers([dict(type="LoadImageFromFile"), inner]).mask_step == step


# --- The check ----------------------------------------------------------------------------------------------------


def run_check(folder: Path, config: Any, *options: str) -> tuple[int, Path]:
    """Check a config with one split."""
    Config(dict(train_dataloader=dict(dataset=config))).dump(folder / "config.py")
    return main_check_dataset([str(folder / "config.py"), "--workers=1", "--no-classes", *options]), folder


def test_the_check_says_which_case_a_file_is_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for drawn, orientation, status, words in (
        ("stored", 6, 1, "PROBLEM 2 x image turned by Exif when read, whose mask was drawn on the pixels as stored"),
        ("upright", 6, 0, "note: 2 x image turned by Exif that fits its mask as it is read"),
        ("upright", 2, 1, "PROBLEM 2 x image turned by Exif when read, whose mask may have been drawn on either"),
    ):
        folder = tmp_path / f"{drawn}{orientation}"
        assert run_check(folder, data_set(folder, orientation, drawn))[0] == status
        said = capsys.readouterr().out
        assert words in said
        assert f"images/a.jpg: Exif orientation {orientation}, stored 48 x 32, its mask" in said
        assert "turn its pixels" not in said
    folder = tmp_path / "upright2"
    assert run_check(folder, data_set(folder, 2, "upright"), "--exif", "upright")[0] == 0
    assert run_check(folder, data_set(folder, 2, "upright"), "--cfg-options", "data_check.exif=upright")[0] == 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_dropping_the_orientation_makes_images_fit_masks_of_the_stored_pixels(
    orientation: int, kind: str, tmp_path: Path
) -> None:
    config = data_set(tmp_path, orientation, "stored", kind=kind)
    path = tmp_path / "images" / "a.jpg"
    before = path.read_bytes()
    assert run_check(tmp_path, config, "--drop-orientation", "--exif", "stored")[0] == 0
    assert check_dataset(config) == 3
    assert fits(config)
    after = path.read_bytes()
    changed = sum(a != b for a, b in zip(before, after))
    assert len(before) == len(after)
    assert 1 <= changed <= (5 if kind == "PNG" else 1)  # the tag, and the checksum of a PNG's chunk


def test_dropping_leaves_upright_masks_and_undecided_images_alone(tmp_path: Path) -> None:
    for drawn, orientation in (("upright", 6), ("stored", 3)):
        folder = tmp_path / drawn
        config = data_set(folder, orientation, drawn)
        before = {path: path.read_bytes() for path in (folder / "images").iterdir()}
        run_check(folder, config, "--drop-orientation")
        assert {path: path.read_bytes() for path in (folder / "images").iterdir()} == before


def test_a_tag_that_cannot_be_set_is_refused_and_the_file_stays(tmp_path: Path) -> None:
    write_tagged(tmp_path / "xmp.jpg", quadrants(), 6, xmp=True)
    before = (tmp_path / "xmp.jpg").read_bytes()
    with pytest.raises(DataError, match=r"no Exif orientation tag was found .*exiftool -Orientation="):
        drop_orientation(str(tmp_path / "xmp.jpg"))
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [before]


def test_a_png_keeps_valid_checksums(tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    write_tagged(path, quadrants(), 6, "PNG")
    drop_orientation(str(path))
    content, at = path.read_bytes(), 8
    while at < len(content):
        (length,) = struct.unpack_from(">I", content, at)
        assert struct.unpack_from(">I", content, at + 8 + length)[0] == zlib.crc32(content[at + 4 : at + 8 + length])
        at += 12 + length


def test_overlays_show_both_readings_of_an_undecided_image(tmp_path: Path) -> None:
    run_check(tmp_path, data_set(tmp_path, 3, "stored"), "--overlays", str(tmp_path / "out"), "--show", "1")
    (sheet,) = (tmp_path / "out" / "train").iterdir()
    pixels = np.asarray(Image.open(sheet).convert("RGB")).astype(int)
    assert pixels.shape == (32 + 16, 48 + 8 + 48, 3)
    stored, upright = pixels[16:, :48], pixels[16:, -48:]
    np.testing.assert_allclose(stored[4, 4], upright[-4, -4] // 2 + stored[4, 4] // 2, atol=60)  # same image, turned
    assert np.abs(stored[4, 4] - upright[4, 4]).max() > 60  # under the same mask


def test_a_config_that_says_stored_reads_every_split_as_stored(tmp_path: Path) -> None:

    from davpt_seg.commands.config_argument import check_data

    config = data_set(tmp_path, 3, "stored")
    loader = dict(batch_size=1, dataset=dict(type="RepeatDataset", times=1, dataset=config))
    cfg = Config(
        dict(
            train_dataloader=loader,
            val_dataloader=dict(batch_size=1, dataset=config),
            tta_pipeline=[dict(type="LoadImageFromFile", color_type="grayscale")],
            data_check=dict(exif="stored"),
        )
    )
    check_data(cfg, ("train", "val"))
    assert cfg.tta_pipeline[0].color_type == "grayscale_ignore_orientation"
    assert fits(cfg.train_dataloader.dataset.dataset)
    assert fits(cfg.val_dataloader.dataset)
