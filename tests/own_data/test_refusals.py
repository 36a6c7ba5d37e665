"""A folder that cannot be used is refused in one paragraph, and nothing is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from davpt_seg.commands.new_dataset import main_new_dataset
from davpt_seg.errors import InputError
from davpt_seg.experiments.compose import compose

from .folders import LAYOUTS, colour_file, coloured, write_folder

NAMED = ["--classes", "background,cat,dog"]
SPLITS = "train=dict(images='i', masks='m'), val=dict(images='i', masks='m')"


def jpeg_masks(folder: Path) -> None:
    write_folder(folder)
    for path in (folder / "masks").iterdir():
        Image.open(path).save(path.with_suffix(".jpg"))
        path.unlink()


def other_size(folder: Path) -> None:
    write_folder(folder)
    mask = next((folder / "masks").iterdir())
    Image.open(mask).resize((32, 24)).save(mask)


def two_kinds(folder: Path) -> None:
    write_folder(folder)
    write_folder(folder, lambda name: (f"images/{name}", f"parts/{name}"))


def truncated(folder: Path) -> None:
    write_folder(folder)
    mask = sorted((folder / "masks").iterdir())[3]
    mask.write_bytes(mask.read_bytes()[:-30])


def smoothed(folder: Path) -> None:
    write_folder(folder, drawn=coloured)
    for number, path in enumerate(sorted((folder / "masks").iterdir())):
        noise = np.random.default_rng(number).integers(0, 256, (2, 64, 3))
        pixels = np.asarray(Image.open(path)).copy()
        pixels[:2] = noise
        Image.fromarray(pixels).save(path)


def polygons(folder: Path) -> None:
    write_folder(folder)
    for path in (folder / "masks").iterdir():
        path.unlink()
    (folder / "instances.json").write_text('{"images": [], "annotations": []}')


def by_class(folder: Path) -> None:
    write_folder(folder, lambda name: (f"class_{name[-1]}/{name}", f"{name}"))
    for path in folder.glob("*.png"):
        path.unlink()


def in_colours_with_other_names(folder: Path) -> None:
    write_folder(folder, drawn=coloured)
    (folder / "classes.txt").write_text("background 0 0 0\ncat 255 128 0\n")


def latin(folder: Path) -> None:
    write_folder(folder)
    for kind, suffix in (("images", "jpg"), ("masks", "png")):
        (folder / kind / f"img_000.{suffix}").rename(folder / kind / f"B\udce4r.{suffix}")


def many_colours(folder: Path) -> None:
    """Write masks of 256 named colours, a sixth of them in each mask."""
    values = (np.arange(48 * 64).reshape(48, 64) % 43 + 43 * number for number in range(6))

    def drawn(_: np.ndarray) -> Image.Image:
        found = np.minimum(next(values), 255)
        return Image.fromarray(np.stack([found, found // 2, 0 * found], axis=-1).astype(np.uint8))

    write_folder(folder, drawn=drawn)
    (folder / "classes.txt").write_text("".join(f"c{n} {n} {n // 2} 0\n" for n in range(256)))


def halves(labels: np.ndarray) -> Image.Image:
    return Image.fromarray(np.where(labels == 1, 255, 0).astype(np.uint8))


def sixty_times(labels: np.ndarray) -> Image.Image:
    return Image.fromarray(np.where(labels == 255, 255, 60 * labels).astype(np.uint8))


def one_pair(folder: Path) -> None:
    write_folder(folder)
    for kind in ("images", "masks"):
        for path in sorted((folder / kind).iterdir())[1:]:
            path.unlink()


CASES: dict[str, tuple[Callable[[Path], object], list[str], tuple[str, ...]]] = {
    "no folder": (lambda folder: None, NAMED, ("there is no such folder", "give the folder")),
    "an empty folder": (lambda folder: folder.mkdir(), NAMED, ("no image is below this folder", "Expected are")),
    "JPEG masks": (jpeg_masks, NAMED, ("6 images/*.jpg", "none can be masks", "never JPEG")),
    "masks of another size": (other_size, NAMED, ("1 of 6 masks differ in size", "(32 x 24)", "(64 x 48)")),
    "two kinds of masks": (two_kinds, NAMED, ("2 kinds of masks", "--masks masks")),
    "a truncated mask": (truncated, NAMED, ("img_003", "cannot be read", "restore it")),
    "colours without names": (
        lambda folder: write_folder(folder, drawn=coloured),
        NAMED,
        ("the masks are in colours", "NAME R G B", "NAME 255 128 0", "--classes-file"),
    ),
    "mixed colours": (smoothed, NAMED, ("colours were mixed", "without smoothing")),
    "colours that are not named": (
        in_colours_with_other_names,
        [],
        ("colours that", "(10, 20, 250)", "void R G B"),
    ),
    "too few names": (
        write_folder,
        ["--classes", "background,cat"],
        ("the 3 values 0, 1 and 2", "--classes names 2 classes", "0 to 1"),
    ),
    "values without names": (
        lambda folder: write_folder(folder, drawn=sixty_times),
        [],
        ("0, 60 and 120", "--classes a,b,..."),
    ),
    "only void": (
        lambda folder: write_folder(folder, drawn=lambda v: Image.fromarray(np.full_like(v, 255))),
        NAMED,
        ("every pixel of the masks is void",),
    ),
    "a void that is nowhere": (write_folder, [*NAMED, "--void", "9"], ("no mask holds 9", "omit it")),
    "void 255 beside 0 only": (
        lambda folder: write_folder(folder, drawn=halves),
        ["--classes", "road,car", "--void", "255"],
        ("road or void", "nothing to tell apart"),
    ),
    "256 classes": (many_colours, [], ("256 classes", "up to 255", "docs/data.md")),
    "a name in Latin-1": (latin, NAMED, ("images/B\\udce4r.jpg' is not UTF-8", "convmv")),
    "a name twice": (write_folder, ["--classes", "cat,cat,dog"], ("'cat' is named twice",)),
    "an empty name": (write_folder, ["--classes", "cat,,dog"], ("an empty name",)),
    "one class": (write_folder, ["--classes", "cat"], ("at least two classes",)),
    "no file of classes": (write_folder, ["--classes-file", "/nowhere.txt"], ("/nowhere.txt: there is no such file",)),
    "both lists of classes": (write_folder, [*NAMED, "--classes-file", "x"], ("omit one of them",)),
    "polygons": (polygons, NAMED, ("looks like COCO's polygons", "annToMask", "data=coco_folder:")),
    "folders of classes": (by_class, [], ("data=imagefolder:", "no masks")),
    "one image": (one_pair, NAMED, ("at least two are needed",)),
    "masks that are not there": (
        write_folder,
        [*NAMED, "--masks", "gt"],
        ("no files match it", "masks/*.png"),
    ),
    "a name that is no file's": (write_folder, [*NAMED, "--name", "a/b"], ("--name 'a/b'",)),
}


@pytest.mark.parametrize("case", CASES)
def test_a_folder_is_refused_with_what_was_found_and_what_to_do(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare, arguments, says = CASES[case]
    folder = tmp_path / "pets"
    prepare(folder)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SystemExit) as end:
        main_new_dataset([str(folder), *arguments])
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before
    assert [part for part in says if part not in error] == []


def test_a_comma_in_the_path_is_refused_since_words_are_separated_by_commas(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_folder(tmp_path / "a,b")
    with pytest.raises(SystemExit):
        main_new_dataset([str(folder), *NAMED])
    assert "commas separate the words" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "says"),
    {
        "import os\nown_data = dict()": "read as plain values: line 1",
        "own_data = dict(classes=open('x'))": "is no plain value",
        "own_data = []": "must be a dict",
        "own_data = dict(classes=('a', 'b'))": "has no train, val",
        "own_data = dict(clases=('a', 'b'))": "did you mean 'classes'",
        f"own_data = dict(classes=('a', 'a'), {SPLITS})": "different",
        "own_data = dict(classes=('a', 'b'), train='i', val=dict(images='i', masks='m'))": "train must be a dict",
        f"own_data = dict(classes=('a', 'b'), {SPLITS}, palette=5)": "palette must hold colours",
        f"own_data = dict(classes=('a', 'b'), {SPLITS}, palette=((1, 2), (3, 4)))": "palette must hold colours",
        f"own_data = dict(classes=('a', 'b'), {SPLITS}, image_suffix=3)": "image_suffix must be a text",
        f"own_data = dict(classes=('a', 'b'), {SPLITS}, root=3)": "root must be a text",
        f"own_data = dict(classes=('a', 'b'), {SPLITS}, zero_is_void='no')": "zero_is_void must be True or False",
        f"own_data = dict(classes=('a', 'b'), {SPLITS.replace(repr('i'), '3')})": "train images must be a path",
        f"own_data = dict(classes=('a', 'b'), {SPLITS}, crop=0)": "crop must be an integer of at least 1",
    }.items(),
)  # fmt: skip
def test_a_data_part_is_read_as_plain_values_only(content: str, says: str, tmp_path: Path) -> None:
    part = tmp_path / "pets.py"
    part.write_text(content)
    with pytest.raises(InputError, match=says) as error:
        compose(trunk="vitti", head="linear", data=str(part))
    assert str(part) in str(error.value)


def test_a_folder_without_data_part_is_refused_with_the_command_that_writes_it(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "pets", LAYOUTS["two folders"])
    with pytest.raises(InputError, match="davpt-seg new-dataset"):
        compose(trunk="vitti", head="linear", data=f"folder:{folder}")
    with pytest.raises(InputError, match="there is no folder"):
        compose(trunk="vitti", head="linear", data=f"folder:{folder}/nowhere")
    colour_file(folder)
    with pytest.raises(InputError, match="lists of the training and validation images must be written"):
        compose(trunk="vitti", head="linear", data=f"folder:{folder}")
