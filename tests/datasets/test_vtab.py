"""VTAB-1k as the community lays it out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from mmengine.registry import DATASETS
from PIL import Image

from davpt_seg.datasets import VTAB_SETS, VTABDataset
from davpt_seg.errors import DataError

from ..recognition import write_vtab

CIFAR10 = Path(os.environ.get("VTAB_ROOT", "data/vtab-1k")) / "cifar10_1k"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_vtab(tmp_path_factory.mktemp("vtab"), "eurosat", train=20, val=10, test=12)


def build(root: Path, dataset: str = "eurosat", split: str = "train800", **options: Any) -> VTABDataset:
    config = dict(type="VTABDataset", data_root=str(root), dataset=dataset, split=split, serialize_data=False)
    return DATASETS.build({**config, **options})


def test_the_benchmark_has_7_natural_4_specialized_and_8_structured_tasks() -> None:
    groups = [task.group for task in VTAB_SETS.values()]
    assert [groups.count(group) for group in ("Natural", "Specialized", "Structured")] == [7, 4, 8]
    assert sum(task.num_classes for task in VTAB_SETS.values()) == 795 + 62 + 83


@pytest.mark.parametrize(("split", "count"), [("train800", 20), ("val200", 10), ("train800val200", 30), ("test", 12)])
def test_each_line_of_a_list_is_an_image_with_its_label(root: Path, split: str, count: int) -> None:
    dataset = build(root, split=split)
    assert len(dataset) == count
    lines = (root / "eurosat" / f"{split}.txt").read_text().splitlines()
    for i, line in enumerate(lines):
        item = dataset[i]
        assert [item["img_path"], str(item["gt_label"])] == [str(root / "eurosat" / line.split()[0]), line.split()[1]]
        assert dataset.get_cat_ids(i) == [item["gt_label"]]
        with Image.open(item["img_path"]) as image:
            assert image.size == (16, 16)


def test_classes_are_numbered_or_named_by_classes_txt_or_by_the_config(root: Path, tmp_path: Path) -> None:
    assert build(root).metainfo["classes"][:2] == ("class 0", "class 1")
    assert len(build(root).metainfo["classes"]) == 10
    letters = tuple("abcdefghij")
    assert build(root, metainfo=dict(classes=letters)).metainfo["classes"] == letters
    write_vtab(tmp_path, "mine", num_classes=3)
    assert build(tmp_path, "mine").metainfo["classes"] == ("kind 0", "kind 1", "kind 2")
    (tmp_path / "mine" / "classes.txt").unlink()
    assert len(build(tmp_path, "mine", num_classes=5).metainfo["classes"]) == 5


@pytest.mark.parametrize(
    ("line", "number"),
    [("image.jpg", 21), ("image.jpg ten", 21), ("image.jpg 10", 21), ("image.jpg -1", 21), ("\n7", 22)],
)
def test_a_bad_line_is_refused_with_its_number(tmp_path: Path, line: str, number: int) -> None:
    path = write_vtab(tmp_path, "eurosat", train=20) / "eurosat" / "train800.txt"
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(
        DataError, match=rf"train800\.txt, line {number}: expected .* from 0 to 9 .*got '{line.strip()}"
    ):
        build(tmp_path)


def test_spaces_in_a_path_and_empty_lines_are_fine(tmp_path: Path) -> None:
    path = write_vtab(tmp_path, "eurosat") / "eurosat" / "test.txt"
    path.write_text("images/my photo.jpg\t3\n\n  \n")
    (item,) = build(tmp_path, split="test").load_data_list()
    assert item == dict(img_path=str(tmp_path / "eurosat" / "images/my photo.jpg"), gt_label=3)


@pytest.mark.parametrize("signature", [b"", b"\xef\xbb\xbf"], ids=["plain", "signature"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=["unix", "windows"])
def test_a_list_that_windows_wrote_is_the_same_list(tmp_path: Path, signature: bytes, end: bytes) -> None:
    path = write_vtab(tmp_path, "eurosat") / "eurosat" / "test.txt"
    before = build(tmp_path, split="test").load_data_list()
    path.write_bytes(signature + path.read_bytes().replace(b"\n", end))
    assert build(tmp_path, split="test").load_data_list() == before


def test_a_list_that_is_no_text_is_refused_by_name(tmp_path: Path) -> None:
    path = write_vtab(tmp_path, "eurosat") / "eurosat" / "test.txt"
    path.write_bytes(b"\xff\xfe" + path.read_bytes())
    with pytest.raises(DataError, match=r"test\.txt is text in UTF-16, not in UTF-8: save it as UTF-8"):
        build(tmp_path, split="test").load_data_list()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            dict(dataset="euro_sat"),
            r"'euro_sat' is not known; did you mean 'eurosat'\? Known: caltech101, .*classes",
        ),
        (dict(dataset="dtd"), r"dtd: folder '.*dtd' does not exist; check data_root, .*VTAB_ROOT .*vtab1k\.py"),
        (dict(split="train"), r"split: 'train' is not known; did you mean 'train800'\? Known: train800, val200"),
        (dict(num_classes=11), r"eurosat has 10 classes, got num_classes=11"),
        (dict(metainfo=dict(classes=("a", "b"))), r"eurosat has 10 classes, but 2 names"),
    ],
)
def test_a_wrong_config_is_refused_before_anything_is_read(root: Path, options: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        build(root, lazy_init=True, **options)


def test_a_missing_list_names_those_that_are_there(tmp_path: Path) -> None:
    (write_vtab(tmp_path, "eurosat") / "eurosat" / "train800val200.txt").unlink()
    with pytest.raises(
        DataError, match=r"train800val200\.txt' does not exist; that folder has test\.txt, train800\.txt, val200\.txt"
    ):
        build(tmp_path, split="train800val200")


@pytest.mark.skipif(not CIFAR10.exists(), reason="needs $VTAB_ROOT/cifar10_1k")
def test_a_real_copy_is_read() -> None:
    splits = {split: build(CIFAR10.parent, CIFAR10.name, split) for split in VTABDataset.LISTS}
    assert {split: len(dataset) for split, dataset in splits.items()} == {
        "train800": 800, "val200": 200, "train800val200": 1000, "test": 1000
    }  # fmt: skip
    assert splits["test"].metainfo["classes"][:2] == ("airplane", "automobile")
    labels = [splits["train800"].get_data_info(i)["gt_label"] for i in range(800)]
    assert [labels.count(c) for c in range(10)] == [80] * 10
