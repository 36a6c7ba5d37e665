"""``data=imagefolder:PATH``: one folder per class, with or without folders of splits."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from davpt_seg.datasets import ImageFolderDataset
from davpt_seg.datasets.image_folder import class_folders
from davpt_seg.errors import DataError
from davpt_seg.experiments.compose import compose

from ..recognition import write_image

CLASSES = ("daisy", "rose", "tulip")


def write_flowers(root: Path, per_class: int = 10, splits: tuple[str, ...] = ("",)) -> Path:
    rng = np.random.default_rng(0)
    for split in splits:
        for label, name in enumerate(CLASSES):
            for number in range(per_class):
                write_image(root / split / name / f"{split}{number}.jpg", label, rng)
    return root


def outside(root: Path, *folders: str) -> Path:
    """Write the classes into each of several folders."""
    return write_flowers(root, 4, folders)


def images_and_masks(root: Path) -> None:
    for name in ("images", "masks"):
        write_image(root / name / "0.jpg", 0, np.random.default_rng(0))


def another_class(root: Path) -> None:
    write_image(root / "val" / "lily" / "0.jpg", 0, np.random.default_rng(0))


def latin_image(root: Path) -> None:
    write_flowers(root)
    (root / "rose" / "0.jpg").rename(root / "rose" / "B\udce4r.jpg")


def items(root: Path, split: str) -> dict[str, int]:
    return {item["img_path"]: item["gt_label"] for item in ImageFolderDataset(str(root), split).load_data_list()}


def test_drawn_splits_share_no_image_and_hold_every_class_in_equal_shares(tmp_path: Path) -> None:
    root = write_flowers(tmp_path / "flowers")
    train, val, test, both = (items(root, split) for split in ("train", "val", "test", "trainval"))
    assert not train.keys() & val.keys() and not both.keys() & test.keys()
    assert {**train, **val} == both
    assert len(both.keys() | test.keys()) == 30
    assert [Counter(split.values()) for split in (train, val, test)] == [
        Counter(dict.fromkeys(range(3), count)) for count in (7, 1, 2)
    ]
    assert all(CLASSES[label] == Path(path).parent.name for path, label in {**both, **test}.items())


def test_folders_of_splits_are_used_and_only_missing_ones_are_drawn(tmp_path: Path) -> None:
    root = write_flowers(tmp_path / "flowers", 5, ("train", "test"))
    train, val, test = (items(root, split) for split in ("train", "val", "test"))
    assert all("/test/" in path for path in test) and len(test) == 15
    assert all("/train/" in path for path in {**train, **val}) and (len(train), len(val)) == (12, 3)


@pytest.mark.parametrize(
    "names", [("training_set", "test_set"), ("images_train", "images_test"), ("seg_train", "Test")]
)
def test_folders_of_splits_may_have_further_names_and_are_no_classes(names: tuple[str, ...], tmp_path: Path) -> None:
    root = write_flowers(tmp_path / "flowers", 5, names)
    assert class_folders(root) == CLASSES
    train, val, test = (items(root, split) for split in ("train", "val", "test"))
    assert (len(train), len(val), len(test)) == (12, 3, 15)
    assert all(f"/{names[1]}/" in path for path in test)


def test_test_images_without_folders_of_classes_are_no_test_set(tmp_path: Path) -> None:
    root = write_flowers(tmp_path / "flowers", 5, ("train",))
    write_image(root / "test" / "0.jpg", 0, np.random.default_rng(0))
    assert [len(items(root, split)) for split in ("train", "val", "test")] == [9, 3, 3]


def test_a_class_may_be_named_train_and_links_are_followed_and_thumbnails_are_no_class(tmp_path: Path) -> None:
    there = write_flowers(tmp_path / "there", 5)
    root = tmp_path / "flowers"
    root.mkdir()
    (root / "train").symlink_to(there / "daisy")
    (root / "rose").mkdir()
    (root / "rose" / "deep").symlink_to(there / "rose")
    (there / "rose" / "circle").symlink_to(root)
    write_image(root / "thumbs" / "0.jpg", 0, np.random.default_rng(0))
    assert class_folders(root) == ("rose", "train")
    assert len(items(root, "trainval")) + len(items(root, "test")) == 10


def test_one_more_image_leaves_nearly_all_others_in_their_parts(tmp_path: Path) -> None:
    """Otherwise a resumed training, or a later test, would read as new what was trained on."""
    root = write_flowers(tmp_path / "flowers", 40)
    for number in range(3):
        before = {split: set(items(root, split)) for split in ("train", "val", "test")}
        write_image(root / "rose" / f"{number}_added.jpg", 1, np.random.default_rng(9))
        after = {split: set(items(root, split)) for split in ("train", "val", "test")}
        assert all(len(before[split] - after[split]) <= 2 for split in before)
        assert all(len(after[split] - before[split]) <= 2 for split in before)


def test_the_parts_move_with_the_folder(tmp_path: Path) -> None:
    root = write_flowers(tmp_path / "flowers", 20)
    before = sorted(str(Path(path).relative_to(root)) for path in items(root, "val"))
    moved = root.rename(tmp_path / "elsewhere")
    assert sorted(str(Path(path).relative_to(moved)) for path in items(moved, "val")) == before


def test_names_that_begin_with_a_sign_are_classes_and_folders_without_images_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "pets"
    for name, file in (("_unknown", "0.jpg"), ("#1", "0.PNG"), ("fox", "0.jpg")):
        write_image(root / name / file, 0, np.random.default_rng(0))
    (root / "fox" / "0.jpg").rename(root / "fox" / "0.jfif")
    for name, file in (("bird", "0.heic"), ("@eaDir", "0.jpg"), ("test", "notes.txt")):
        (root / name).mkdir()
        (root / name / file).write_bytes(b"")
    assert class_folders(root) == ("#1", "_unknown", "fox")
    assert [record.getMessage().split(" (")[0] for record in caplog.records] == [f"{root}: bird/ holds no image"]


def test_an_experiment_has_the_folders_classes(tmp_path: Path) -> None:
    root = write_flowers(tmp_path / "flowers")
    cfg = compose(method="vpt_deep", trunk="vitti", data=f"imagefolder:{root}", split="final")
    assert cfg.model.head.num_classes == 3
    assert (cfg.train_dataloader.dataset.split, cfg.test_dataloader.dataset.split) == ("trainval", "test")
    assert cfg.filename.startswith("vpt_deep/vitti_flowers-")


@pytest.mark.parametrize(
    ("prepare", "says"),
    [
        (lambda root: None, "does not exist"),
        (lambda root: root.mkdir(), "has 0 folders with images; it needs one folder for each class"),
        (lambda root: write_flowers(root, 1), "class 'daisy' has 1 images"),
        (lambda root: another_class(write_flowers(root, 3, ("train",))), "lily' is no class of"),
        (lambda root: outside(root, "val", "test"), "has test/ and val/, but no train/"),
        (lambda root: outside(root, "train", "val", "valid"), "are two folders of one split"),
        (lambda root: outside(root, "day", "night"), "all hold the folders daisy/, rose/, tulip/, so they look"),
        (lambda root: write_flowers(root).joinpath("rose").rename(root / "K\udce4fer"), r"K.udce4fer' is not UTF-8"),
        (latin_image, r"B.udce4r.jpg' is not UTF-8"),
        (images_and_masks, "as images with masks have. For segmentation, run 'davpt-seg new-dataset'"),
    ],
    ids=["none", "empty", "one", "another class", "no train", "two", "splits", "Latin", "Latin file", "masks"],
)  # fmt: skip
def test_other_folders_are_refused(prepare, says: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    root = tmp_path / "flowers"
    prepare(root)
    with pytest.raises(DataError, match=says):
        items(root, "train")
