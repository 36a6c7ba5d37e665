"""The demo scenes: layout, labels that fit the pictures, and builds that can be trusted."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import interpolate

for package in ("rich", "skimage", "sklearn"):
    pytest.importorskip(package)

SIZE = (168, 224)
COUNTS = {"training": 12, "validation": 6}


def load_script() -> ModuleType:
    path = Path(__file__).parents[2] / "tools" / "dataset_converters" / "demo_scenes.py"
    spec = importlib.util.spec_from_file_location("demo_scenes_script", path)
    assert spec and spec.loader, path
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


script = load_script()


def build(out: Path, *extra: str) -> None:
    script.main(["--out", str(out), "--train", "12", "--val", "6", *extra])


def contents(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo") / "scenes"
    build(out)
    return out


@pytest.mark.parametrize("split", COUNTS)
def test_every_image_has_a_mask_of_its_size(built: Path, split: str) -> None:
    images = sorted((built / "images" / split).iterdir())
    masks = sorted((built / "annotations" / split).iterdir())
    expected = [f"{index:04d}" for index in range(COUNTS[split])]
    assert [path.name for path in images] == [f"{stem}.jpg" for stem in expected]
    assert [path.name for path in masks] == [f"{stem}.png" for stem in expected]
    for image_path, mask_path in zip(images, masks):
        image, mask = Image.open(image_path), Image.open(mask_path)
        assert (image.mode, mask.mode) == ("RGB", "L")
        assert image.size == mask.size == SIZE[::-1]


@pytest.mark.parametrize("split", COUNTS)
def test_each_split_holds_background_and_all_ten_digits_and_no_other_label(built: Path, split: str) -> None:
    paths = (built / "annotations" / split).iterdir()
    masks = np.stack([np.asarray(Image.open(path)) for path in paths])
    assert np.unique(masks).tolist() == list(range(11))


@pytest.mark.parametrize("split", COUNTS)
def test_masks_match_the_pasted_digits(built: Path, split: str) -> None:
    """Oracle: PyTorch's bicubic kernel, which ``antialias`` makes equal to Pillow's."""
    drawn = script.scenes(split, COUNTS[split], 0, SIZE)
    for index, scene in enumerate(drawn):
        expected, decided = np.zeros(SIZE, np.uint8), np.ones(SIZE, bool)
        for digit in scene.digits:
            sample = torch.from_numpy(np.pad(np.minimum(digit.sample / 12, 1), 1))[None, None]
            side = (digit.side, digit.side)
            alpha = interpolate(sample, side, mode="bicubic", antialias=True)[0, 0].numpy()
            rows = slice(digit.top, digit.top + digit.side)
            columns = slice(digit.left, digit.left + digit.side)
            assert not expected[rows, columns].any(), "two boxes overlap"
            expected[rows, columns] = np.where(alpha >= 0.5, digit.label + 1, 0)
            # Rounding may put an alpha of just 0.5 on either side.
            decided[rows, columns] = abs(alpha - 0.5) > 1e-5
        mask = np.asarray(Image.open(built / "annotations" / split / f"{index:04d}.png"))
        np.testing.assert_array_equal(mask[decided], expected[decided])
        assert decided.mean() > 0.99


def test_a_digit_is_painted_where_its_mask_is(built: Path) -> None:
    """Inside a mask the picture has one colour, and the colour ends where the mask does."""
    for index, scene in enumerate(script.scenes("validation", COUNTS["validation"], 0, SIZE)):
        image = np.asarray(Image.open(built / f"images/validation/{index:04d}.jpg"), float)
        mask = np.asarray(Image.open(built / f"annotations/validation/{index:04d}.png"))
        for digit in scene.digits:
            window = np.s_[digit.top : digit.top + digit.side, digit.left : digit.left + digit.side]
            inside = mask[window] == digit.label + 1
            colour = np.median(image[window][inside], axis=0)
            distance = np.linalg.norm(image[window] - colour, axis=-1)
            assert np.median(distance[inside]) < 25
            assert np.median(distance[~inside]) > 75


def test_training_and_validation_share_no_digit_and_no_photograph() -> None:
    used = {
        split: {digit.sample.tobytes() for scene in drawn for digit in scene.digits}
        for split, drawn in ((split, script.scenes(split, 40, 0, SIZE)) for split in COUNTS)
    }
    assert all(used.values())
    assert not used["training"] & used["validation"]
    assert not set(script.PHOTOS["training"].split()) & set(script.PHOTOS["validation"].split())


def test_equal_seeds_build_equal_bytes_and_other_seeds_other_images(built: Path, tmp_path: Path) -> None:
    build(tmp_path / "same")
    build(tmp_path / "other", "--seed", "1")
    first, other = contents(built), contents(tmp_path / "other")
    assert contents(tmp_path / "same") == first
    images = [name for name in first if name.endswith(".jpg")]
    assert len(images) == 18
    assert all(first[name] != other[name] for name in images)


def test_a_second_run_touches_no_file(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in built.rglob("*")}
    build(built)
    assert {path: path.stat().st_mtime_ns for path in built.rglob("*")} == before
    assert "reused" in capsys.readouterr().out


def test_other_settings_are_refused_and_leave_the_scenes_alone(built: Path) -> None:
    before = contents(built)
    with pytest.raises(SystemExit, match=r"'seed': 0.*'seed': 7.*--out.*--force"):
        build(built, "--seed", "7")
    assert contents(built) == before


def test_an_interrupted_build_leaves_no_folder_and_the_next_run_completes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    out = tmp_path / "scenes"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(script, "write_preview", interrupt)
        build(out)
    assert not out.exists()
    build(out)
    assert [path.name for path in tmp_path.iterdir()] == ["scenes"]
    assert (out / "scenes.json").exists()


def test_a_folder_without_scenes_json_is_replaced_by_force_only(tmp_path: Path) -> None:
    (tmp_path / "scenes" / "images").mkdir(parents=True)
    with pytest.raises(SystemExit, match="no finished build"):
        build(tmp_path / "scenes")
    build(tmp_path / "scenes", "--force")
    assert (tmp_path / "scenes" / "scenes.json").exists()


def test_force_never_deletes_a_folder_with_foreign_files(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(SystemExit, match=r"thesis\.tex"):
        build(tmp_path, "--force")
    assert (tmp_path / "thesis.tex").read_text() == "years of work"
