"""FGVC splits from small releases in their official formats, read back by FGVCDataset, as in training."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any, Callable

import pytest

from davpt_seg.converters.fgvc_release import read_release
from davpt_seg.datasets.fgvc import FGVC_SETS, FGVCDataset
from davpt_seg.errors import DataError

from ..tools.scripts import load_script
from .fgvc_releases import write_birds, write_car_ims, write_cars, write_dogs, write_flowers

SCRIPT = Path(__file__).parents[2] / "tools" / "dataset_converters" / "fgvc.py"
CUB = {1: "001.Black_footed_Albatross", 2: "002.Laysan_Albatross", 10: "010.Red_winged_Blackbird"}
NABIRDS = {295: "0295", 817: "0817", 1010: "1010"}
RELEASES: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "cub": ("cub", lambda root: write_birds(root, CUB)),
    "nabirds": ("nabirds", lambda root: write_birds(root, NABIRDS)),
    "flowers": ("flowers", write_flowers),
    "dogs": ("dogs", write_dogs),
    "dogs, images in small letters": ("dogs", lambda root: write_dogs(root, "images")),
    "cars": ("cars", write_cars),
    "cars, Kaggle's nested folders": ("cars", lambda root: write_cars(root, nested="yes")),
    "cars, car_ims": ("cars", write_car_ims),
}


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load_script(SCRIPT)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "release").mkdir()
    return tmp_path / "release"


def refusal(script: ModuleType, capsys: pytest.CaptureFixture[str], *arguments: Any) -> str:
    with pytest.raises(SystemExit) as ended:
        script.main([str(argument) for argument in arguments])
    assert ended.value.code == 2
    return capsys.readouterr().err


def splits_of(root: Path) -> dict[str, dict[str, int]]:
    return {split: json.loads((root / f"{split}.json").read_text()) for split in ("train", "val", "test")}


@pytest.mark.parametrize("which", RELEASES)
def test_the_splits_are_the_releases_and_the_data_set_finds_every_image(
    which: str, script: ModuleType, root: Path
) -> None:
    dataset, write = RELEASES[which]
    write(root)
    script.main([dataset, str(root), "--allow-counts"])
    splits = splits_of(root)
    train, val, test = splits.values()
    if dataset == "flowers":
        assert [len(split) for split in splits.values()] == [6, 6, 18]
        assert list(val) == [f"jpg/image_{i:05d}.jpg" for i in range(7, 13)]
    else:
        assert [len(split) for split in splits.values()] == [27, 3, 12]
        assert Counter(val.values()) == dict.fromkeys(val.values(), 1)  # a tenth of each of three classes
    assert not train.keys() & val.keys() | train.keys() & test.keys() | val.keys() & test.keys()
    numbers = sorted(set(train.values()))
    for split, images in splits.items():
        items = FGVCDataset(str(root), "small", split, num_classes=3, lazy_init=True).load_data_list()
        assert [item["gt_label"] for item in items] == [numbers.index(label) for label in images.values()]
        assert all(Path(item["img_path"]).is_file() for item in items)
        assert [Path(item["img_path"]).name for item in items] == [Path(path).name for path in images]


def test_classes_keep_the_numbers_of_the_release(script: ModuleType, root: Path) -> None:
    write_birds(root, NABIRDS)
    script.main(["nabirds", str(root), "--allow-counts"])
    for images in splits_of(root).values():
        assert set(images.values()) == {295, 817, 1010}
        assert all(path == f"{label:04d}/{Path(path).name}" for path, label in images.items())


def test_stanford_dogs_labels_follow_the_lists(root: Path) -> None:
    release = read_release("dogs", write_dogs(root))
    breeds = {"n01-Chihuahua": 1, "n02-Maltese": 2, "n03-Beagle": 3}
    assert release.images == root / "Images"
    assert all(label == breeds[path.split("/")[0]] for path, label in {**release.train, **release.test}.items())


@pytest.mark.parametrize(("dataset", "classes"), [("cub", 200), ("nabirds", 555), ("dogs", 120), ("cars", 196)])
def test_the_held_out_tenth_is_as_large_as_vpts_and_alike_in_every_class(
    dataset: str, classes: int, script: ModuleType
) -> None:
    published = FGVC_SETS[dataset]
    total = published.train_images + published.val_images
    images = {f"{i:06d}.jpg": i % classes for i in range(total)}
    train, val = script.hold_out(images, seed=0)
    assert (len(train), len(val)) == (published.train_images, published.val_images)
    assert {**train, **val} == images
    members, held = Counter(images.values()), Counter(val.values())
    assert all(abs(held[label] - members[label] / 10) < 1 for label in members)


def test_the_held_out_tenth_is_fixed_by_the_seed_not_by_the_order_of_the_list(script: ModuleType) -> None:
    images = {f"{i:02d}.jpg": i % 2 for i in range(20)}
    backwards = dict(reversed(images.items()))
    assert script.hold_out(images, seed=0) == script.hold_out(backwards, seed=0)
    assert script.hold_out(images, seed=0) != script.hold_out(images, seed=1)
    assert list(script.hold_out(images, seed=0)[1]) == ["09.jpg", "10.jpg"]  # and so it must stay


def test_a_class_of_one_image_is_trained(script: ModuleType) -> None:
    images = {**{f"{i:02d}.jpg": 1 for i in range(20)}, "only.jpg": 2}
    train, val = script.hold_out(images, seed=0)
    assert train["only.jpg"] == 2
    assert len(val) == 2


def test_existing_splits_are_kept_unless_forced(
    script: ModuleType, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["cub", str(write_birds(root, CUB)), "--allow-counts"]
    (root / "val.json").write_text('{"of/vpt.jpg": 1}')
    assert "val.json hold(s) other splits" in refusal(script, capsys, *command)
    assert not (root / "train.json").exists()
    script.main([*command, "--force"])
    assert len(splits_of(root)["val"]) == 3
    before = (root / "val.json").stat()
    script.main(command)  # the same once more is no conflict, and touches nothing
    assert (root / "val.json").stat() == before


def test_a_release_of_another_size_is_refused_with_its_counts(
    script: ModuleType, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = refusal(script, capsys, "cub", write_birds(root, CUB))
    assert "classes: 3 instead of 200" in message
    assert "train and val: 30 instead of 5,994" in message
    assert not list(root.glob("*.json"))


def test_a_dry_run_writes_nothing(script: ModuleType, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script.main(["flowers", str(write_flowers(root)), "--allow-counts", "--dry-run"])
    assert "train: 6 (published: 1,020)" in capsys.readouterr().out
    assert not list(root.glob("*.json*"))


@pytest.mark.parametrize(
    ("which", "gone", "named"),
    [
        ("cub", "images.txt", "https://data.caltech.edu/records/65de6-vp158"),
        ("nabirds", "train_test_split.txt", "https://dl.allaboutbirds.org/nabirds"),
        ("flowers", "setid.mat", "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/"),
        ("dogs", "test_list.mat", "lists.tar"),
        ("cars", "cars_test_annos_withlabels.mat", "https://github.com/pytorch/vision/issues/7545"),
        ("dogs", "Images", "images.tar"),
        ("cub", f"images/{CUB[1]}/bird_1_0.jpg", "1 of 42 listed images are missing"),
    ],
)
def test_a_missing_file_is_named_with_where_to_get_it(which: str, gone: str, named: str, root: Path) -> None:
    dataset, write = RELEASES[which]
    write(root)
    shutil.rmtree(root / gone) if (root / gone).is_dir() else (root / gone).unlink()
    with pytest.raises(DataError) as refused:
        read_release(dataset, root)
    assert gone in str(refused.value)
    assert named in str(refused.value)


@pytest.mark.parametrize(
    ("file", "old", "new", "named"),
    [
        ("images.txt", "-000000000000 001.Black", "001.Black", "image-id value"),
        ("image_class_labels.txt", " 10\n", " ten\n", "'ten' is no class number"),
        ("train_test_split.txt", " 1\n", " 2\n", "neither 0 (test) nor 1"),
        ("train_test_split.txt", "00000001-", "00000009-", "does not list the images of images.txt"),
    ],
)
def test_a_broken_table_is_named(file: str, old: str, new: str, named: str, root: Path) -> None:
    write_birds(root, CUB)
    text = (root / file).read_text()
    (root / file).write_text(text.replace(old, new, 1) if file != "images.txt" else "alone\n" + text)
    with pytest.raises(DataError, match=file.replace(".", r"\.")) as refused:
        read_release("cub", root)
    assert named in str(refused.value)


def test_a_mat_file_of_another_kind_is_named(root: Path) -> None:
    write_flowers(root)
    shutil.copy(root / "imagelabels.mat", root / "setid.mat")
    with pytest.raises(DataError, match=r"setid\.mat: has no trnid, only labels"):
        read_release("flowers", root)
