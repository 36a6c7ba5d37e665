"""The demo's scenes: real photographs, exact masks, the same every time."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from .scripts import load_script

pytest.importorskip("skimage")
SCRIPT = Path(__file__).parents[2] / "tools" / "dataset_converters" / "demo_scenes.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load_script(SCRIPT)


@pytest.fixture
def build(script: ModuleType) -> Any:
    return lambda out, *more: script.main(["--out", str(out), "--train", "12", "--val", "6", *more])


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_every_pixel_comes_from_the_photograph_that_its_label_names(script: ModuleType) -> None:
    for split in script.COLUMNS:
        for scene in script.scenes(split, 10, 0, (168, 224)):
            assert 2 <= len(np.unique(scene.mask)) <= len(scene.pictures) <= 5
            expected = np.choose(scene.mask[..., None], [scene.pictures.get(c, 0) for c in range(10)])
            np.testing.assert_array_equal(scene.image, expected)


def test_the_splits_see_different_parts_of_each_photograph(script: ModuleType) -> None:
    left, right = script.load_photos("training"), script.load_photos("validation")
    for ours, theirs, name in zip(left, right, script.PHOTOS.values()):
        (path,) = [path for path in map(Path, sources(script, name)) if path.exists()]
        whole = np.asarray(Image.open(path).convert("RGB"))
        np.testing.assert_array_equal(np.hstack([ours, theirs]), whole)


def sources(script: ModuleType, name: str) -> list[str]:
    import skimage
    import sklearn.datasets

    return [f"{Path(skimage.__file__).parent}/data/{name}", f"{Path(sklearn.datasets.__file__).parent}/images/{name}"]


def test_both_splits_hold_every_class_in_pairs_of_one_size(build: Any, tmp_path: Path) -> None:
    build(tmp_path / "scenes")
    for split, count in (("training", 12), ("validation", 6)):
        images = sorted((tmp_path / "scenes" / "images" / split).iterdir())
        masks = sorted((tmp_path / "scenes" / "annotations" / split).iterdir())
        assert [path.stem for path in images] == [path.stem for path in masks]
        assert len(images) == count
        labels = [np.array(Image.open(path)) for path in masks]
        assert {label.shape for label in labels} == {(168, 224)}
        assert {Image.open(path).size for path in images} == {(224, 168)}
        assert set(np.unique(labels)) == set(range(10))


def test_equal_seeds_build_equal_files_and_others_do_not(build: Any, tmp_path: Path) -> None:
    for folder, seed in (("a", "3"), ("b", "3"), ("c", "4")):
        build(tmp_path / folder, "--seed", seed)
    a, b, c = (contents(tmp_path / folder) for folder in "abc")
    assert a == b
    assert a.keys() == c.keys()
    assert a["images/training/0000.jpg"] != c["images/training/0000.jpg"]


def test_a_second_run_touches_nothing_and_other_settings_are_refused(build: Any, tmp_path: Path) -> None:
    out = tmp_path / "scenes"
    build(out)
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    build(out)
    assert times == {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    with pytest.raises(SystemExit, match=r"holds scenes made with .* choose another --out, or replace it with --force"):
        build(out, "--seed", "1")
    build(out, "--seed", "1", "--force")


def test_an_interrupted_build_never_looks_whole(
    script: ModuleType, build: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*args: Any) -> None:
        raise KeyboardInterrupt

    out = tmp_path / "scenes"
    with monkeypatch.context() as patch, pytest.raises(SystemExit, match="130"):
        patch.setattr(script, "write_preview", interrupt)
        build(out)
    assert not out.exists()
    build(out)
    assert (out / "scenes.json").exists()


def test_force_deletes_nothing_that_it_did_not_write(
    build: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "scenes").mkdir()
    (tmp_path / "scenes" / "thesis.tex").write_text("years of work")
    with pytest.raises(SystemExit, match="2"):
        build(tmp_path / "scenes", "--force")
    assert "holds thesis.tex; use another --out" in capsys.readouterr().err
    assert (tmp_path / "scenes" / "thesis.tex").exists()
