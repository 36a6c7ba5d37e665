"""Folders as labelling programs and people leave them: the right pairs, splits and classes, or a refusal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from davpt_seg.commands.new_dataset import main_new_dataset
from davpt_seg.own_data.folder import parts_in, read_plain

from .folders import CLASSES, COLOURS, NAMES, coloured, labels_of, split_of, write_folder
from .test_new_dataset import NAMED, check


def read_own(folder: Path) -> dict[str, Any]:
    (part,) = parts_in(folder)
    return read_plain(part, "the part")


def classes_of(folder: Path) -> tuple[str, ...]:
    names: tuple[str, ...] = read_own(folder)["train_dataloader"]["dataset"]["metainfo"]["classes"]
    return names


def shifted(labels: np.ndarray) -> Image.Image:
    """Return class numbers with 0 for what is nothing, as labelme and Roboflow write them."""
    return Image.fromarray(np.where(labels == 255, 0, labels + 1).astype(np.uint8))


def with_background(number: int) -> np.ndarray:
    return np.asarray(shifted(labels_of(number)))


def write_lists(folder: Path, lines: Callable[[str], str], **names: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for split, members in names.items():
        (folder / f"{split}.txt").write_text("".join(f"{lines(name)}\n" for name in members))


def test_an_export_of_roboflow_has_its_splits_and_classes(tmp_path: Path) -> None:
    folder = tmp_path / "pets"

    def place(name: str) -> tuple[str, str]:
        split = dict(train="train", val="valid")[split_of(name)]
        return (f"{split}/{name}", f"{split}/{name}_mask")

    write_folder(folder, place, shifted)
    (folder / "train" / "_classes.csv").write_text("Pixel Value, Class\n0, background\n1, road\n2, car\n3, dog\n")
    splits = check(folder, [], with_background)
    assert sorted(splits["val"]) == NAMES[-2:]
    assert read_own(folder)["train_dataloader"]["dataset"]["metainfo"]["classes"] == (
        "background",
        "road",
        "car",
        "dog",
    )


def test_an_export_of_cvat_has_the_colours_of_its_labelmap(tmp_path: Path) -> None:
    folder = tmp_path / "pets"
    write_folder(folder, lambda name: (f"JPEGImages/{name}", f"SegmentationObject/{name}"), coloured)
    write_folder(folder, lambda name: (f"JPEGImages/{name}", f"SegmentationClass/{name}"), coloured)
    rows = [f"{name}:{','.join(map(str, c))}::\n" for name, c in zip(CLASSES, COLOURS.tolist())]
    lines = ["# label:color_rgb:parts:actions\n", *rows, "void:255,255,255::\n"]
    (folder / "labelmap.txt").write_text("".join(lines))
    check(folder, [])


def test_of_an_export_of_labelme_the_images_are_taken_and_not_the_masks_drawn_over_them(tmp_path: Path) -> None:
    folder = tmp_path / "pets"
    for kind in ("SegmentationObjectPNG", "SegmentationClassPNG"):
        write_folder(folder, lambda name, kind=kind: (f"JPEGImages/{name}", f"{kind}/{name}"), shifted)
    (folder / "SegmentationClassVisualization").mkdir()
    for path in (folder / "JPEGImages").iterdir():
        (folder / "SegmentationClassVisualization" / path.name).write_bytes(path.read_bytes())
    (folder / "class_names.txt").write_text("_background_\nroad\ncar\ndog\n")
    check(folder, [], with_background)
    assert read_own(folder)["train_dataloader"]["dataset"]["data_prefix"]["img_path"] == "JPEGImages"


@pytest.mark.parametrize("kind", ["overlays", "images"])
def test_two_kinds_of_images_for_the_same_masks_are_refused_until_one_is_chosen(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_folder(tmp_path / "pets")
    (folder / kind).mkdir(exist_ok=True)
    for path in sorted((folder / "images").iterdir()):
        Image.open(path).save(folder / kind / f"{path.stem}.tif")
    with pytest.raises(SystemExit):
        main_new_dataset([str(folder), *NAMED])
    assert "2 kinds of images" in capsys.readouterr().err
    check(folder, [*NAMED, "--images", "images/*.jpg"])


def test_test_images_without_masks_do_not_get_the_masks_of_training_images_of_the_same_names(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "pets", lambda name: (f"train/images/{name}", f"train/masks/{name}"))
    (folder / "test" / "images").mkdir(parents=True)
    for path in sorted((folder / "train" / "images").iterdir())[:2]:
        Image.new("RGB", (64, 48)).save(folder / "test" / "images" / path.name)
    check(folder, NAMED)
    assert "test" not in read_own(folder)["test_dataloader"]["dataset"]["data_prefix"]["img_path"]


@pytest.mark.parametrize("places", ["images_{s}/{n} masks_{s}/{n}", "{s}_data/images/{n} {s}_data/masks/{n}",
                                    "{s}set/{n} {s}set/{n}_mask"])  # fmt: skip
def test_folders_of_splits_have_further_names(places: str, tmp_path: Path) -> None:
    def place(name: str) -> tuple[str, str]:
        image, mask = places.format(s=split_of(name), n=name).split()
        return image, mask

    splits = check(write_folder(tmp_path / "pets", place), NAMED)
    assert sorted(splits["val"]) == NAMES[-2:]


def test_validation_images_below_the_training_images_stay_out_of_training(tmp_path: Path) -> None:
    below = dict(train="", val="val/")
    folder = write_folder(
        tmp_path / "pets",
        lambda name: (f"images/{below[split_of(name)]}{name}", f"masks/{below[split_of(name)]}{name}"),
    )
    assert sorted(check(folder, NAMED)["val"]) == NAMES[-2:]


def test_pairs_beside_folders_of_splits_are_reported_and_not_mixed_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def place(name: str) -> tuple[str, str]:
        return (f"{split_of(name)}/images/{name}", f"{split_of(name)}/masks/{name}")

    folder = write_folder(tmp_path / "pets", place)
    write_folder(folder, lambda name: (f"extra/images/x{name}", f"extra/masks/x{name}"))
    assert sorted(check(folder, NAMED)["val"]) == NAMES[-2:]
    assert "6 images outside the folders of the splits are not used" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name_of", "line"),
    {
        "a blank in names": ("Img {n}", "Img {n}.jpg"),
        "dots in names": ("2007.{n}", "2007.{n}"),
        "two columns": ("{n}", "/images/{n}.jpg /masks/{n}.png"),
        "columns with commas": ("{n}", "images/{n}.jpg,masks/{n}.png"),
        "Windows": ("{n}", "images\\{n}.jpg"),
        "another suffix": ("{n}", "{n}.jpeg"),
    }.values(),
)  # fmt: skip
def test_lists_name_images_as_people_write_them(name_of: str, line: str, tmp_path: Path) -> None:
    def place(name: str) -> tuple[str, str]:
        own = name_of.format(n=name)
        return f"images/{own}", f"masks/{own}"

    folder = write_folder(tmp_path / "pets", place)
    write_lists(folder, lambda name: line.format(n=name), train=NAMES[:-2], val=NAMES[-2:])
    assert main_new_dataset([str(folder), *NAMED]) == 0
    lists = [(folder / "splits" / f"{split}.txt").read_text().splitlines() for split in ("train", "val")]
    assert lists == [[name_of.format(n=name) for name in names] for names in (NAMES[:-2], NAMES[-2:])]


def test_a_blank_at_the_end_of_a_name_is_kept_and_one_at_its_beginning_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_folder(tmp_path / "pets", lambda name: (f"images/{name} ", f"masks/{name} "))
    assert main_new_dataset([str(folder), *NAMED]) == 0
    data = read_own(folder)["train_dataloader"]["dataset"]
    for name in (folder / data["ann_file"]).read_text().splitlines():
        assert (folder / "images" / f"{name.strip()}{data['img_suffix']}").is_file()
    other = write_folder(tmp_path / "cats", lambda name: (f"images/ {name}", f"masks/ {name}"))
    with pytest.raises(SystemExit):
        main_new_dataset([str(other), *NAMED])
    assert "must not begin with a blank" in capsys.readouterr().err


def test_lists_tell_images_of_the_same_name_in_two_folders_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def place(name: str) -> tuple[str, str]:
        number = NAMES.index(name)
        return f"images/{number % 2}/{number // 2}", f"masks/{number % 2}/{number // 2}"

    folder = write_folder(tmp_path / "pets", place)
    write_lists(folder, lambda name: f"{place(name)[0]}.jpg", train=NAMES[:-2], val=NAMES[-2:])
    assert main_new_dataset([str(folder), *NAMED]) == 0
    assert (folder / "splits" / "train.txt").read_text().split() == ["0/0", "1/0", "0/1", "1/1"]
    write_lists(folder, lambda name: place(name)[0][-1], train=NAMES[:-2], val=NAMES[-2:])
    with pytest.raises(SystemExit):
        main_new_dataset([str(folder), *NAMED])
    assert "write their paths in the list" in capsys.readouterr().err


def test_an_image_in_the_lists_of_training_and_validation_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_folder(tmp_path / "pets")
    write_lists(folder, str, train=NAMES, val=NAMES[-2:])
    with pytest.raises(SystemExit):
        main_new_dataset([str(folder), *NAMED])
    assert "2 images are in" in capsys.readouterr().err


def test_what_lists_omit_or_name_in_vain_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_folder(tmp_path / "pets")
    write_lists(folder / "sets", str, train=[NAMES[0], "gone"], val=NAMES[-2:])
    write_lists(folder / "sets" / "other", str, train=["gone"], val=["gone"])
    assert main_new_dataset([str(folder), *NAMED]) == 0
    out = capsys.readouterr().out
    assert "train 1, val 2 (of the folder's lists)" in out
    assert "1 lines of the lists name no image with a mask: gone (train.txt)" in out
    assert "3 images with masks are in no list and not used" in out


def test_a_name_with_a_blank_is_no_other_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Windows names copies so."""
    folder = write_folder(tmp_path / "pets")
    write_lists(folder / "sets", str, train=NAMES[:3], val=[f"{NAMES[0]} (1)", f"{NAMES[4]} -1", NAMES[5]])
    assert main_new_dataset([str(folder), *NAMED]) == 0
    out = capsys.readouterr().out
    assert "train 3, val 2 (of the folder's lists)" in out
    assert f"1 lines of the lists name no image with a mask: {NAMES[0]} (1) (val.txt)" in out


def test_a_class_that_no_mask_has_may_be_named_beside_void(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def drawn(labels: np.ndarray) -> Image.Image:
        return Image.fromarray(np.where(labels == 255, 200, labels).astype(np.uint8))

    folder = write_folder(tmp_path / "pets", drawn=drawn)
    check(folder, ["--classes", "background,cat,dog,bird", "--void", "200"])
    assert len(classes_of(folder)) == 4


def test_links_to_folders_are_followed_and_circles_end(tmp_path: Path) -> None:
    there = write_folder(tmp_path / "there")
    folder = tmp_path / "pets"
    folder.mkdir()
    for kind in ("images", "masks"):
        (folder / kind).symlink_to(there / kind)
    (there / "images" / "circle").symlink_to(folder)
    check(folder, NAMED)


def test_a_copied_line_of_the_colours_that_were_found_names_a_class(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_folder(tmp_path / "pets", drawn=coloured)
    with pytest.raises(SystemExit):
        main_new_dataset([str(folder)])
    found = [line for line in capsys.readouterr().err.splitlines() if line.startswith("- NAME")]
    assert len(found) == 4
    colours = {"0 0 0": "background", "255 128 0": "cat", "10 20 250": "dog", "255 255 255": "void"}
    order = list(colours)
    named = [
        line.replace("NAME", name) for colour in order for line in found if f"NAME {colour}  #" in line
        for name in [colours[colour]]
    ]  # fmt: skip
    (folder / "classes.txt").write_text("\n".join(named))
    check(folder, [])


def gray(labels: np.ndarray) -> Image.Image:
    """Return a mask of two classes with many shades of gray between them, as smoothed borders have."""
    shades = np.arange(labels.size).reshape(labels.shape) % 130
    return Image.fromarray(np.where(labels == 1, 250, shades).astype(np.uint8))


@pytest.mark.parametrize(
    ("drawn", "arguments", "says"),
    {
        "smoothed": (gray, [], "as shades of gray do"),
        "0 and 255 with three names": (
            lambda v: Image.fromarray(np.where(v == 1, 255, 0).astype(np.uint8)),
            NAMED,
            "--classes names 3; name two",
        ),
        "a name for void": (
            lambda v: Image.fromarray(np.where(v == 255, 0, v % 3).astype(np.uint8)),
            [*NAMED, "--void", "0"],
            "without the name of 0",
        ),
        "one class": (lambda v: Image.fromarray(np.where(v == 255, 255, 0 * v)), NAMED[:1] + ["a,b,c,d"], "two"),
        "numbers of one class": (lambda v: Image.fromarray(0 * v + 1), [*NAMED], "nothing to tell apart"),
    }.values(),
)  # fmt: skip
def test_masks_that_would_train_wrong_classes_are_refused(
    drawn: Any, arguments: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_folder(tmp_path / "pets", drawn=drawn)
    with pytest.raises(SystemExit):
        main_new_dataset([str(folder), *arguments])
    assert says in capsys.readouterr().err


def test_void_255_needs_no_masks_and_a_class_named_void_is_noted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_folder(tmp_path / "pets")
    check(folder, ["--classes", "void,cat,dog", "--void", "255"])
    assert not (folder / "index_masks").exists()
    assert "'void' is trained and scored as a class, number 0" in capsys.readouterr().out


def test_classes_without_names_count_from_one_if_the_masks_do(tmp_path: Path) -> None:
    folder = write_folder(
        tmp_path / "pets", drawn=lambda v: Image.fromarray(np.where(v == 255, 255, v + 1).astype(np.uint8))
    )
    check(folder, [])
    assert len(classes_of(folder)) == 3
