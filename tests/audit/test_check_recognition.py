"""tools/check_dataset.py on VTAB-1k and FGVC finds what was spoilt, and nothing else."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from davpt_seg.audit import official
from davpt_seg.audit.preflight import check_dataset
from davpt_seg.commands.check_dataset import main_check_dataset
from davpt_seg.datasets import FGVC_SETS, VTAB_SETS
from davpt_seg.errors import DataError
from davpt_seg.experiments.compose import compose_from_words
from davpt_seg.terminal.program import program

from ..recognition import write_fgvc, write_vtab

CIFAR10 = Path(os.environ.get("VTAB_ROOT", "data/vtab-1k")) / "cifar10_1k"


@pytest.fixture
def vtab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small VTAB-1k of one task that counts as whole."""
    monkeypatch.setattr(official, "VTAB_IMAGES", {"train800": 12, "val200": 6, "train800val200": 18})
    monkeypatch.setitem(VTAB_SETS, "kitti", dataclasses.replace(VTAB_SETS["kitti"], test_images=8))
    return write_vtab(tmp_path / "vtab-1k", "kitti", train=12, val=6, test=8)


@pytest.fixture
def cub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small CUB of five classes that counts as whole."""
    small = dataclasses.replace(FGVC_SETS["cub"], num_classes=5, train_images=10, val_images=5, test_images=5)
    monkeypatch.setitem(FGVC_SETS, "cub", small)
    return write_fgvc(tmp_path / "fgvc" / "CUB_200_2011", "cub", dict(train=2), num_classes=5)


def check(*arguments: Any, folder: Path) -> tuple[int, dict[str, Any]]:
    """Run the command and return its exit status and report, which it writes to the folder."""
    report = folder / "report.json"
    status = main_check_dataset([*map(str, arguments), "--workers", "1", "--json", str(report)])
    return status, json.loads(report.read_text())


def found(report: dict[str, Any]) -> list[tuple[str, str, str]]:
    """All findings: the split (or nothing, where it is about several), kind and file."""
    return [(s["split"], f["kind"], Path(f["path"]).name) for s in report["splits"] for f in s["findings"]] + [
        ("", f["kind"], Path(f["path"]).name) for f in report["shared"]
    ]


def test_a_whole_task_passes_and_its_images_are_counted(vtab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, report = check("--vtab", vtab, "kitti", folder=vtab)
    assert (status, found(report)) == (0, [])
    said = capsys.readouterr().out
    assert "kitti/train800: data set VTABDataset kitti (train800)" in said
    assert "12 images (as published)\n  4 classes with 3 images each\n  complete: every image was read" in said
    assert f"No problems. Next: VTAB_ROOT={vtab} {program('train')} method=davpt," in said
    assert "trunk=vitb_augreg_in21k,data=vtab/kitti" in said
    assert [split["seen_in"] for split in report["splits"]] == [[3] * 4, [2, 2, 1, 1], [5, 5, 4, 4], [2] * 4]


def test_the_next_step_with_a_set_of_ones_own_is_one_that_can_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(official, "VTAB_IMAGES", {"train800": 8, "val200": 4, "train800val200": 12})
    steps = {}
    for name in ("cifar10_1k", "mine"):
        write_vtab(tmp_path, name)
        assert main_check_dataset(["--vtab", str(tmp_path), name]) == 0
        steps[name] = capsys.readouterr().out.partition("Next: ")[2]
    (words,) = (word for word in steps["cifar10_1k"].split() if word.startswith("method="))
    assert compose_from_words(words).train_dataloader.dataset.dataset == "cifar10_1k"
    assert "beside configs/_base_/datasets/vtab/cifar10_1k.py" in steps["mine"]


def test_a_whole_fgvc_set_passes_and_is_read_once(cub: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, report = check("--fgvc", cub.parent, "cub", folder=cub)
    assert (status, found(report)) == (0, [])
    assert [(split["split"], split["images"]) for split in report["splits"]] == [
        ("cub/train", 10), ("cub/val", 5), ("cub/test", 5)
    ]  # fmt: skip
    assert "data=fgvc/cub,split=choose --dry-run" in capsys.readouterr().out


def test_each_kind_of_damage_to_images_and_lists_is_named(vtab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = vtab / "kitti"
    truncated = folder / "images" / "train800" / "000003.jpg"
    truncated.write_bytes(truncated.read_bytes()[:-60])
    (folder / "images" / "val200" / "000001.jpg").unlink()
    (folder / "images" / "test" / "000002.jpg").write_text("<html>Not found</html>")
    test = (folder / "test.txt").read_text().splitlines()
    (folder / "test.txt").write_text("\n".join([*test[:-1], test[0]]))
    status, report = check("--vtab", vtab, "kitti", folder=vtab)
    assert status == 1
    assert found(report) == [
        ("kitti/train800", "unreadable", "000003.jpg"),
        ("kitti/val200", "missing image", "000001.jpg"),
        ("kitti/train800val200", "missing image", "000001.jpg"),
        ("kitti/train800val200", "unreadable", "000003.jpg"),
        ("kitti/test", "listed twice", "000000.jpg"),
        ("kitti/test", "unreadable", "000002.jpg"),
    ]
    said = capsys.readouterr().out
    assert "truncated" in said
    assert "000003.jpg: it is truncated (cut off): get it again\n" in said
    assert "000002.jpg: it is a web page, not an image: download it again\n" in said
    assert "000000.jpg: 2 times in test, with the labels" not in said  # its two entries agree
    assert "\n6 problems. Do" in said


def test_lists_that_are_short_missing_bad_or_not_the_sum_of_their_parts_are_named(vtab: Path) -> None:
    folder = vtab / "kitti"
    lines = (folder / "train800val200.txt").read_text().splitlines()
    (folder / "train800val200.txt").write_text("\n".join([*lines[:-1], lines[-1][:-1] + "3"]))  # another label
    (folder / "test.txt").write_text("\n".join((folder / "test.txt").read_text().splitlines()[:5]))
    status, report = check("--vtab", vtab, "kitti", folder=vtab)
    assert status == 1
    assert found(report) == [("kitti/test", "list count", "test.txt"), ("", "not the sum", "train800val200")]
    assert report["splits"][3]["findings"][0]["detail"] == "5 images, published 8"
    assert report["shared"][0]["detail"] == "2 images or labels differ from train800 and val200"
    (folder / "val200.txt").unlink()
    (folder / "test.txt").write_text("images/test/000000.jpg 4\n")
    status, report = check("--vtab", vtab, "kitti", folder=vtab)
    assert [kind for _, kind, _ in found(report)] == ["not there", "list"]
    assert "line 1: expected 'relative/path label'" in report["splits"][3]["findings"][0]["path"]


def test_an_image_that_is_tested_and_trained_on_is_a_problem(cub: Path) -> None:
    lists = {split: json.loads((cub / f"{split}.json").read_text()) for split in ("train", "test")}
    first = next(iter(lists["train"]))
    lists["test"].popitem()
    (cub / "test.json").write_text(json.dumps({first: lists["train"][first], **lists["test"]}))
    status, report = check("--fgvc", cub.parent, "cub", folder=cub)
    assert status == 1
    assert found(report) == [("", "in two splits", Path(first).name)]
    assert report["shared"][0]["detail"] == "in train and test"


def test_a_few_images_of_the_same_content_are_a_note_and_many_a_problem(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_vtab(tmp_path, "mine", test=200)
    images = root / "mine" / "images"
    shutil.copy(images / "train800" / "000001.jpg", images / "test" / "000007.jpg")
    status, report = check("--vtab", root, "mine", folder=tmp_path)
    assert (status, found(report)) == (0, [])
    assert [(note["kind"], Path(note["path"]).name) for note in report["notes"]] == [("same content", "000007.jpg")]
    said = capsys.readouterr().out
    assert "note: 1 x image with the content of one in another split" in said
    assert f"000007.jpg: of test, is {images}/train800/000001.jpg of train800\n" in said
    for name in ("000008.jpg", "000009.jpg"):
        shutil.copy(images / "train800" / "000001.jpg", images / "test" / name)
    status, report = check("--vtab", root, "mine", folder=tmp_path)
    assert status == 1
    assert {kind for _, kind, _ in found(report)} == {"same content"}
    assert "PROBLEM" in capsys.readouterr().out
    assert check("--vtab", root, "mine", "--fast", folder=tmp_path)[0] == 0  # headers do not tell


def test_another_division_of_fgvc_s_training_images_is_a_note_and_a_lost_one_a_problem(
    cub: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train, val = (json.loads((cub / f"{split}.json").read_text()) for split in ("train", "val"))
    path, class_id = train.popitem()
    (cub / "train.json").write_text(json.dumps(train))
    status, report = check("--fgvc", cub.parent, "cub", folder=cub)
    assert (status, found(report)) == (1, [("cub/train", "list count", "train.json")])
    (cub / "val.json").write_text(json.dumps({**val, path: class_id}))
    status, report = check("--fgvc", cub.parent, "cub", folder=cub)
    assert (status, found(report)) == (0, [])
    assert [note["kind"] for split in report["splits"] for note in split["notes"]] == ["division"] * 2
    assert "divided differently: mention it in comparisons" in capsys.readouterr().out


def test_classes_without_images_are_noted(vtab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = (vtab / "kitti" / "val200.txt").read_text()
    (vtab / "kitti" / "val200.txt").write_text(lines.replace(" 3\n", " 0\n"))
    (vtab / "kitti" / "train800val200.txt").write_text(
        (vtab / "kitti" / "train800.txt").read_text() + (vtab / "kitti" / "val200.txt").read_text()
    )
    assert check("--vtab", vtab, "kitti", folder=vtab)[0] == 0
    said = capsys.readouterr().out
    assert "4 classes with 0 to 3 images each\n  note: 1 of 4 classes are never seen: class 3" in said


def test_a_root_lists_all_sets_that_are_missing_once(vtab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, report = check("--vtab", vtab, folder=vtab)
    assert status == 1
    assert [kind for _, kind, _ in found(report)] == ["no folder"] * 18
    said = capsys.readouterr().out
    assert said.count("PROBLEM") == 1
    assert f"{vtab}/dtd\n" in said


def test_a_config_s_splits_are_compared_too(vtab: Path, cub: Path, tmp_path: Path) -> None:
    """Validating on val200 while training on it too is what the final run must not do."""

    def loaders(**splits: str) -> str:
        config = {
            f"{name}_dataloader": dict(
                dataset=dict(type="VTABDataset", data_root=str(vtab), dataset="kitti", split=split, pipeline=[])
            )
            for name, split in splits.items()
        }
        Config(config).dump(tmp_path / "config.py")
        return str(tmp_path / "config.py")

    status, report = check(loaders(train="train800", val="val200", test="val200"), folder=tmp_path)
    assert (status, found(report)) == (0, [])
    assert [split["split"] for split in report["splits"]] == ["train", "val"]  # test is val again: read once
    assert report["splits"][0]["expected"] == [12]
    status, report = check(loaders(train="train800val200", val="val200"), folder=tmp_path)
    assert status == 1
    assert {kind for _, kind, _ in found(report)} == {"in two splits"}
    assert len(report["shared"]) == 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--vtab", "{}/kitti"], "is the folder of one task: give {} kitti"),
        (["--vtab", "{}", "kity"], "--vtab: 'kity' is not known; did you mean 'kitti'?"),
        (["--fgvc", "{}", "birds"], "--fgvc: 'birds' is not known; did you mean 'nabirds'?"),
        (["--fgvc", "{}", "--vtab", "{}"], "give a config, or one of --ade20k"),
    ],
)
def test_a_wrong_root_or_name_is_refused(
    arguments: list[str], message: str, vtab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main_check_dataset([argument.format(vtab) for argument in arguments])
    assert message.format(vtab) in capsys.readouterr().err


def preflight(root: Path, **options: Any) -> int:
    config = dict(type="VTABDataset", data_root=str(root), dataset="kitti", split="train800", **options)
    return check_dataset(Config(dict(type="RandomSubset", dataset=config, num_images=3)))


def test_training_starts_with_data_that_are_there(vtab: Path, cub: Path) -> None:
    assert preflight(vtab) == 12
    assert check_dataset(Config(dict(type="FGVCDataset", data_root=str(cub), dataset="cub", split="trainval"))) == 15


def test_training_does_not_start_with_data_that_are_not(vtab: Path) -> None:
    with pytest.raises(DataError, match=r"kitti: folder 'nowhere/kitti' does not exist; .*vtab1k\.py"):
        preflight(Path("nowhere"))
    images = vtab / "kitti" / "images" / "train800"
    (images / "000001.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=r"1 of 12 images are empty files, for instance .*000001\.jpg"):
        preflight(vtab)
    (images / "000001.jpg").unlink()
    with pytest.raises(DataError, match=r"1 of 12 images are missing, for instance .*000001\.jpg"):
        preflight(vtab)
    (vtab / "kitti" / "train800.txt").write_text("\n")
    with pytest.raises(DataError, match=r"VTABDataset kitti \(train800\) .*: no image in .*train800\.txt"):
        preflight(vtab)


@pytest.mark.skipif(not CIFAR10.exists(), reason="needs $VTAB_ROOT/cifar10_1k")
def test_a_real_copy_is_whole(tmp_path: Path) -> None:
    status, report = check("--vtab", CIFAR10.parent, CIFAR10.name, folder=tmp_path)
    assert (status, found(report)) == (0, [])
    assert [split["images"] for split in report["splits"]] == [800, 200, 1000, 1000]
