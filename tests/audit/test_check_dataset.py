"""tools/check_dataset.py finds what was spoilt, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from davpt_seg.audit import official
from davpt_seg.commands.check_dataset import main_check_dataset
from davpt_seg.terminal.program import program

from ..scenes import write_ade20k, write_camvid, write_pascal_context
from ..training import CONFIGS


@pytest.fixture
def ade(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small ADE20K that counts as whole."""
    monkeypatch.setitem(official.COUNTS, "ADE20KDataset", {"train": (4,), "val": (2,)})
    return write_ade20k(tmp_path / "ade")


def check(*arguments: Any, folder: Path) -> tuple[int, dict[str, Any]]:
    """Run the command and return its exit status and report, which it writes to the folder."""
    report = folder / "report.json"
    status = main_check_dataset([*map(str, arguments), "--json", str(report)])
    return status, json.loads(report.read_text())


def found(report: dict[str, Any], split: int = 0) -> list[tuple[str, str, str]]:
    return [(f["kind"], Path(f["path"]).name, f["detail"]) for f in report["splits"][split]["findings"]]


def test_a_whole_folder_passes_and_its_pixels_are_counted(ade: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, report = check("--ade20k", ade, folder=ade)
    assert status == 0
    said = capsys.readouterr().out
    assert "train: data set ADE20KDataset" in said
    assert "4 images (as published)" in said
    assert f"No problems. Next: {program('train')} CONFIG --dry-run" in said
    masks = [np.array(Image.open(path)) for path in (ade / "annotations" / "training").iterdir()]
    train = report["splits"][0]
    for c in (0, 7, 149):  # class c is label c + 1: mmseg's reduce_zero_label
        assert train["pixels"][c] == sum((mask == c + 1).sum() for mask in masks)
        assert train["seen_in"][c] == sum((mask == c + 1).any() for mask in masks)
    assert train["void"] == sum((mask == 0).sum() for mask in masks)
    never = sum(count == 0 for count in train["pixels"])
    assert f"note: {never} of 150 classes are never seen" in said
    share = train["pixels"][0] / sum(train["pixels"])
    (wall,) = [line for line in said.splitlines() if line.startswith("wall ")]
    assert wall.split()[1] == f"{share:.3%}"


def test_each_kind_of_damage_is_named_with_its_file(ade: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images, masks = ade / "images" / "training", ade / "annotations" / "training"
    name = "ADE_training_{:08d}"
    truncated = images / (name.format(0) + ".jpg")
    truncated.write_bytes(truncated.read_bytes()[:-300])
    coloured = masks / (name.format(1) + ".png")
    Image.open(coloured).convert("RGB").save(coloured)
    small = masks / (name.format(2) + ".png")
    Image.open(small).resize((40, 32), Image.Resampling.NEAREST).save(small)
    wrong = masks / (name.format(3) + ".png")
    values = np.array(Image.open(wrong))
    values[0, :3] = 151
    values[1, 0] = 255  # void, and fine
    Image.fromarray(values).save(wrong)
    Image.fromarray(values).save(masks / "left_over.png")
    (masks.parent / "validation" / "ADE_validation_00000001.png").unlink()
    (images.parent / "validation" / "ADE_validation_00000000.jpg").write_bytes(b"not an image")

    status, report = check("--ade20k", ade, folder=ade)
    assert status == 1
    assert sorted(found(report)) == [
        ("label", wrong.name, "holds 151 (3 pixels); classes are 1 to 150"),
        ("mask without image", "left_over.png", ""),
        (
            "no label map",
            coloured.name,
            "has Pillow mode RGB: it is a colour image; a mask has one channel (mode L, P or I;16) of class numbers. "
            "Its three channels are equal; keep one: PIL.Image.open(FILE).getchannel(0).save(FILE)",
        ),
        ("size", small.name, "is 40 x 32, its image 80 x 64"),
        ("unreadable", truncated.name, found(report)[1][2]),
    ]
    assert "truncated" in found(report)[1][2]
    assert [(kind, name) for kind, name, _ in found(report, 1)] == [
        ("missing mask", "ADE_validation_00000001.png"),
        ("unreadable", "ADE_validation_00000000.jpg"),
    ]
    said = capsys.readouterr().out
    assert "PROBLEM 1 x mask that does not hold one class number" in said
    assert f"{coloured}: has Pillow mode RGB" in said
    assert "-> convert it to one channel" in said
    assert "\n7 problems. Do" in said


def test_a_number_of_images_that_is_not_the_published_one_is_a_problem(tmp_path: Path) -> None:
    status, report = check("--ade20k", write_ade20k(tmp_path / "ade"), folder=tmp_path)
    assert status == 1
    assert [kind for kind, *_ in found(report)] == ["count"]
    assert found(report)[0][2] == "4 images, published 20,210"


def test_fast_reads_headers_only(ade: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mask = ade / "annotations" / "training" / "ADE_training_00000003.png"
    Image.fromarray(np.full((64, 80), 200, np.uint8)).save(mask)  # a wrong label, which a header does not show
    assert check("--fast", "--ade20k", ade, folder=ade)[0] == 0
    assert "Without --fast, pixels and labels are checked too" in capsys.readouterr().out
    Image.fromarray(np.full((64, 81), 1, np.uint8)).save(mask)
    status, report = check("--fast", "--ade20k", ade, folder=ade)
    assert status == 1
    assert found(report) == [("size", mask.name, "is 81 x 64, its image 80 x 64")]


def test_both_variants_of_pascal_context_read_the_background_their_own_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_pascal_context(tmp_path / "VOC2010")
    for kind in ("PascalContextDataset", "PascalContextDataset59"):
        monkeypatch.setitem(official.COUNTS, kind, {"train": (4,), "val": (2,)})
    names = (root / "ImageSets" / "SegmentationContext" / "train.txt").read_text().split()
    masks = [np.array(Image.open(root / "SegmentationClassContext" / f"{name}.png")) for name in names]
    background = int(sum((mask == 0).sum() for mask in masks))
    status, report = check("--pascal-context", root, folder=tmp_path)
    assert status == 0
    assert (report["splits"][0]["pixels"][0], report["splits"][0]["void"]) == (background, 0)
    status, report = check("--pascal-context-59", root, folder=tmp_path)
    assert status == 0
    assert report["splits"][0]["void"] == background
    assert len(report["splits"][0]["classes"]) == 59


def test_an_image_in_training_and_validation_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_pascal_context(tmp_path / "VOC2010")
    monkeypatch.setitem(official.COUNTS, "PascalContextDataset", {})
    lists = root / "ImageSets" / "SegmentationContext"
    first = (lists / "train.txt").read_text().split()[0]
    (lists / "val.txt").write_text((lists / "val.txt").read_text() + f"{first}\n{first}\n")
    status, report = check("--pascal-context", root, folder=tmp_path)
    assert status == 1
    assert [Path(f["path"]).stem for f in report["shared"]] == [first]
    assert [(kind, name) for kind, name, _ in found(report, 1)] == [("listed twice", f"{first}.jpg")]


def test_any_config_is_checked_and_equal_splits_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMVID_ROOT", str(write_camvid(tmp_path / "camvid")))
    status, report = check(CONFIGS / "davpt" / "linear_vits14_camvid.py", "--workers", "1", folder=tmp_path)
    assert status == 0
    assert [split["split"] for split in report["splits"]] == ["train", "val"]  # test is val again
    assert report["splits"][0]["void"] > 0


def test_joined_and_repeated_data_sets_are_unwrapped(tmp_path: Path) -> None:
    leaf = Config.fromfile(CONFIGS / "davpt" / "linear_vits14_camvid.py").train_dataloader.dataset
    leaf.data_root = str(write_camvid(tmp_path / "camvid"))
    joined = dict(type="ConcatDataset", datasets=[dict(type="RepeatDataset", times=3, dataset=leaf), dict(leaf)])
    config = tmp_path / "joined.py"
    Config(dict(train_dataloader=dict(dataset=joined))).dump(config)
    status, report = check(config, folder=tmp_path)
    assert status == 0
    assert [(split["split"], split["images"]) for split in report["splits"]] == [("train 1", 6)]


def test_a_folder_that_is_not_there_is_a_problem_not_a_traceback(tmp_path: Path) -> None:
    status, report = check("--ade20k", tmp_path / "nowhere", folder=tmp_path)
    assert status == 1
    assert [split["findings"][0]["kind"] for split in report["splits"]] == ["not there", "not there"]


def test_a_folder_without_images_is_not_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_camvid(tmp_path / "camvid")
    for path in [*root.glob("images/train/*"), *root.glob("annotations/train/*")]:
        path.unlink()
    monkeypatch.setenv("CAMVID_ROOT", str(root))
    status, report = check(CONFIGS / "davpt" / "linear_vits14_camvid.py", folder=tmp_path)
    assert status == 1
    assert found(report) == [("empty", "train", f"no *.jpg in '{root}/images/train'")]


def test_16_bit_masks_whose_labels_mmseg_would_wrap_are_named(ade: Path) -> None:
    path = ade / "annotations" / "training" / "ADE_training_00000000.png"
    Image.fromarray(np.full((64, 80), 257, np.uint16)).save(path)
    assert found(check("--ade20k", ade, folder=ade)[1]) == [
        ("label", path.name, "holds 257 (5,120 pixels); classes are 1 to 150")
    ]
