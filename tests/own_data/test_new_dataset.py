"""A folder of images and masks becomes a data part: whatever the layout and the masks, training reads the labels."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmengine.registry import init_default_scope
from PIL import Image

from davpt_seg.commands.new_dataset import main_new_dataset
from davpt_seg.experiments.compose import compose
from davpt_seg.trust.config_text import evaluate

from .folders import (
    CLASSES,
    COUNT,
    LAYOUTS,
    NAMES,
    SAME_SUFFIX,
    colour_file,
    coloured,
    labels_of,
    own_palette,
    split_of,
    write_folder,
)

LABELS: Callable[[np.ndarray], np.ndarray] = lambda labels: labels  # noqa: E731
READING = ("LoadImageFromFile", "LoadLabelMap", "CheckLabels")
NAMED = ["--classes", ",".join(CLASSES)]


def read(data: str) -> dict[str, dict[str, np.ndarray]]:
    """Read the labels of each split as training does, by the number in the image's name."""
    import mmseg.datasets  # noqa: F401
    from mmseg.registry import DATASETS

    init_default_scope("mmseg")
    cfg = compose(method="linear", head="linear", trunk="vitti", data=data, schedule="adamw_iters")
    found = {}
    for split in ("train", "val", "test"):
        config = cfg[f"{split}_dataloader"].dataset.to_dict()
        config["pipeline"] = [step for step in config["pipeline"] if step["type"] in READING]
        dataset = DATASETS.build(config)
        items = [dataset[number] for number in range(len(dataset))]
        found[split] = {_name(item["img_path"]): item["gt_seg_map"] for item in items}
        assert dataset.metainfo["classes"] == cfg.train_dataloader.dataset.metainfo.classes
    return found


def _name(path: str) -> str:
    return next(name for name in NAMES if name in path)


def files(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Return contents and times of all files."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) for path in found}


def check(folder: Path, arguments: list[str], truth: Callable[[int], np.ndarray] = labels_of) -> dict[str, Any]:
    """Prepare a folder and compare what training reads with the labels; no file that was there changes."""
    before = files(folder)
    assert main_new_dataset([str(folder), *arguments]) == 0
    after = files(folder)
    assert {name: after[name] for name in before} == before
    splits = read(f"folder:{folder}")
    assert sorted(splits["train"].keys() | splits["val"].keys()) == NAMES
    assert not splits["train"].keys() & splits["val"].keys()
    for split in splits.values():
        for name, labels in split.items():
            np.testing.assert_array_equal(labels, truth(NAMES.index(name)))
    assert main_new_dataset([str(folder), *arguments]) == 0
    assert files(folder) == after
    return splits


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_layout_is_found(layout: str, tmp_path: Path) -> None:
    suffix = ".png" if layout in SAME_SUFFIX else ".jpg"
    folder = write_folder(tmp_path / "pets", LAYOUTS[layout], suffix=lambda _: suffix)
    splits = check(folder, NAMED)
    assert not (folder / "index_masks").exists()
    if layout.startswith(("splits", "SegNet")):
        assert sorted(splits["val"]) == [name for name in NAMES if split_of(name) == "val"]
        assert not (folder / "splits").exists()
    else:
        assert len(splits["val"]) == COUNT // 5 and (folder / "splits" / "val.txt").is_file()


@pytest.mark.parametrize(
    "drawn",
    {
        "RGB": coloured,
        "palettes of their own": own_palette,
        "RGBA": lambda labels: coloured(labels).convert("RGBA"),
    }.items(),
    ids=lambda case: case[0],
)
def test_masks_in_colours_become_class_numbers_beside_them(drawn: Any, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "pets", drawn=drawn[1])
    colour_file(folder)
    check(folder, [])
    assert sorted(path.name for path in (folder / "index_masks").rglob("*.png")) == [f"{name}.png" for name in NAMES]


@pytest.mark.parametrize(
    ("drawn", "arguments", "truth"),
    [
        (lambda v: Image.fromarray(v).convert("RGB"), NAMED, LABELS),
        (lambda v: Image.fromarray(np.where(v == 255, 255, v + 1).astype(np.uint8)), NAMED, LABELS),
        (lambda v: Image.fromarray(np.where(v == 255, 0, v + 1).astype(np.uint8)), [*NAMED, "--void", "0"], LABELS),
        (lambda v: Image.fromarray(np.where(v == 255, 255, 50 * v).astype(np.uint8)), NAMED, LABELS),
        (lambda v: Image.fromarray(np.where(v == 255, 7, v).astype(np.uint8)), [*NAMED, "--void", "7"], LABELS),
        (lambda v: Image.fromarray(np.where(v == 1, 255, 0).astype(np.uint8)), [], lambda v: v == 1),
        (lambda v: Image.fromarray(np.where(v == 1, 255, 0).astype(np.uint8)).convert("RGB"), [], lambda v: v == 1),
        (lambda v: Image.fromarray(v == 1), ["--classes", "a,b"], lambda v: v == 1),
        (lambda v: Image.fromarray(v.astype(np.uint16)), NAMED, LABELS),
        (Image.fromarray, [], LABELS),
    ],
    ids=["gray in RGB", "from 1", "from 1, 0 void", "0 50 100", "another void", "0 and 255", "black and white RGB",
         "1 bit", "16 bits", "unnamed"],
)  # fmt: skip
def test_each_numbering_becomes_the_labels(drawn: Any, arguments: list[str], truth: Any, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "pets", drawn=drawn)
    check(folder, arguments, lambda number: truth(labels_of(number)).astype(np.uint8))


def test_images_of_several_suffixes_are_read(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "pets", suffix=lambda number: (".jpg", ".JPG", ".tif")[number % 3])
    check(folder, NAMED)


@pytest.mark.parametrize("names", [("images", "masks"), ("a", "b"), ("b", "a")])
def test_gray_images_are_not_taken_for_masks(names: tuple[str, str], tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "scans", lambda name: (f"{names[0]}/{name}", f"{names[1]}/{name}"))
    for path in sorted((folder / names[0]).iterdir()):
        rows = np.random.default_rng(0).permutation(128).astype(np.uint8).repeat(24).reshape(48, 64)
        Image.fromarray(rows).save(path.with_suffix(".png"))
        path.unlink()
    check(folder, NAMED)


def test_lists_of_pascal_voc_set_the_splits_and_masks_of_objects_are_left(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "voc", lambda name: (f"JPEGImages/{name}", f"SegmentationClass/{name}"))
    shutil.copytree(folder / "SegmentationClass", folder / "SegmentationObject")
    lists = folder / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    for split in ("train", "val"):
        (lists / f"{split}.txt").write_text("".join(f"{name}\n" for name in NAMES if split_of(name) == split))
    splits = check(folder, NAMED)
    assert sorted(splits["val"]) == NAMES[-2:]


def test_the_data_part_is_plain_and_moves_with_its_folder(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "my pets")
    main_new_dataset([str(folder), *NAMED, "--name", "pets"])
    assert set(evaluate((folder / "pets.py").read_text())) == {"own_data"}
    before = read(f"{folder}/pets.py")
    folder.rename(tmp_path / "elsewhere")
    after = read(f"{tmp_path}/elsewhere/pets.py")
    assert {split: list(names) for split, names in before.items()} == {s: list(names) for s, names in after.items()}


def test_a_file_with_the_data_part_as_base_changes_it(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "pets")
    main_new_dataset([str(folder), *NAMED])
    (folder / "small.py").write_text('_base_ = "pets.py"\ntrain_dataloader = dict(batch_size=2)\n')
    cfg = compose(method="linear", head="linear", trunk="vitti", data=f"{folder}/small.py", schedule="adamw_iters")
    assert cfg.train_dataloader.batch_size == 2
    assert cfg.train_dataloader.dataset.data_root == str(folder)
    elsewhere = tmp_path / "smaller.py"
    elsewhere.write_text('_base_ = "pets/small.py"\nown_data = dict(crop=32)\n')
    cfg = compose(method="linear", head="linear", trunk="vitti", data=str(elsewhere), schedule="adamw_iters")
    assert cfg.train_dataloader.dataset.data_root == str(folder)
    assert cfg.train_dataloader.dataset.pipeline[4].crop_size == (32, 32)


def test_a_folder_that_needs_nothing_is_read_as_it_is(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "pets", LAYOUTS["splits inside"])
    (folder / "classes.txt").write_text("\n".join(CLASSES))
    before = files(folder)
    assert sorted(read(f"folder:{folder}")["val"]) == NAMES[-2:]
    assert files(folder) == before


def test_a_dry_run_writes_nothing_and_reports_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_folder(tmp_path / "pets", drawn=coloured)
    colour_file(folder)
    before = files(folder)
    main_new_dataset([str(folder), "--dry-run"])
    dry = capsys.readouterr().out
    assert files(folder) == before
    assert "would write splits/train.txt, splits/val.txt, pets.py, pets_overlays.png, 6 masks below index_masks/" in dry
    main_new_dataset([str(folder)])
    assert capsys.readouterr().out.startswith(dry.partition("would write")[0])


def test_the_overlays_show_image_and_mask_in_the_classes_colours(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "pets")
    main_new_dataset([str(folder), *NAMED])
    sheet = np.asarray(Image.open(folder / "pets_overlays.png"))
    assert sheet.shape[1] == 3 * 64 + 2 * 8
    image = np.asarray(Image.open(folder / "images" / f"{NAMES[0]}.jpg"))
    np.testing.assert_array_equal(sheet[16:64, :64], image)
    labels = labels_of(0)
    inner = np.zeros(labels.shape, bool)
    inner[2:6, 2:6] = True  # of the first block, which is background: no border
    own = evaluate((folder / "pets.py").read_text())["own_data"]
    expected = (0.5 * image + 0.5 * np.array(own["palette"][0])).astype(np.uint8)
    np.testing.assert_array_equal(sheet[80:128, :64][inner], expected[inner])


def test_a_file_of_the_user_is_never_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_folder(tmp_path / "pets")
    (folder / "pets.py").write_text("print('mine')\n")
    before = files(folder)
    with pytest.raises(SystemExit) as end:
        main_new_dataset([str(folder), *NAMED])
    assert end.value.code == 2
    assert files(folder) == before
    error = capsys.readouterr().err
    assert "pets.py is there already with other content, so nothing was written" in error
    assert "-print('mine')" in error


def test_paths_in_its_answer_have_no_dots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_folder(tmp_path / "pets")
    (tmp_path / "clone").mkdir()
    monkeypatch.chdir(tmp_path / "clone")
    main_new_dataset(["../pets", *NAMED])
    out = capsys.readouterr().out
    assert f"data={folder}/pets.py," in out
    assert ".." not in out
