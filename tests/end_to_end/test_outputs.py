"""What tools/test.py writes: a file for every image, whatever the folders that images are in."""

from __future__ import annotations

from pathlib import Path

import mmcv
import numpy as np
import pytest
from PIL import Image

from davpt_seg.apis.predictor import Predictor
from davpt_seg.commands.predict import main_predict
from davpt_seg.commands.test import main_test
from davpt_seg.engine.painted_samples import pixels_of
from davpt_seg.visualization.predictions import Painted, predictions_picture

from ..checkpoints import Trained
from ..scenes import write_pair
from .test_scripts import run

PLACES = ("north/day", "north/night", "south/day")


@pytest.fixture(scope="module")
def nested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A test set of six images in three folders, with three names in all."""
    root, rng = tmp_path_factory.mktemp("nested"), np.random.default_rng(0)
    for place, numbers in zip(PLACES, ((0, 1, 2), (0, 1), (0,))):
        for i in numbers:
            image, mask = (root / kind / "val" / place / f"{i}" for kind in ("images", "annotations"))
            write_pair(image.with_suffix(".jpg"), mask.with_suffix(".png"), (48, 64), np.array([*range(11), 255]), rng)
    return root


def test_model(trained: Trained, data: Path, work_dir: Path, *options: str, **config: object) -> None:
    """Test the tiny model on the data set."""
    changes = {"test_dataloader.dataset.data_root": data, "experiment_name": work_dir.name, **config}
    words = [f"{key}={value}" for key, value in changes.items()]
    main_test([trained.config, trained.checkpoint, "--work-dir", str(work_dir), *options, "--cfg-options", *words])


test_model.__test__ = False  # type: ignore[attr-defined]
NAMES = ["north/day/0", "north/day/1", "north/day/2", "north/night/0", "north/night/1", "south/day/0"]


def written(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder).with_suffix("")) for path in folder.rglob("*.png"))


def image_of(name: str, data: Path) -> Path:
    return data / "images" / "val" / f"{name}.jpg"


def test_images_of_equal_name_keep_their_own_label_maps_and_painted_images(
    trained: Trained, nested: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out, shown = tmp_path / "out", tmp_path / "shown"
    test_model(trained, nested, tmp_path, "--out", str(out), "--show-dir", str(shown))
    assert written(out) == written(shown) == NAMES
    predictor = Predictor(trained.checkpoint, device="cpu")
    for name in NAMES:
        path = image_of(name, nested)
        labels = np.array(Image.open(out / f"{name}.png"))
        assert labels.dtype == np.uint8
        assert np.array_equal(labels, predictor(path))
        truth = np.array(Image.open(str(path).replace("images", "annotations").replace(".jpg", ".png")))
        row = Painted(mmcv.imread(str(path))[..., ::-1], labels.astype(int), truth)
        figure = predictions_picture([row], predictor.classes, predictor.palette, path.name)
        assert np.array_equal(np.array(Image.open(shown / f"{name}.png")), pixels_of(figure))


def test_predict_writes_the_same_names(trained: Trained, nested: Path, tmp_path: Path) -> None:
    images = [str(image_of(name, nested)) for name in NAMES]
    command = [trained.checkpoint, *images, images[0], "--out", str(tmp_path), "--device", "cpu"]
    main_predict(command)
    assert written(tmp_path) == sorted(f"{name}_{kind}" for name in NAMES for kind in ("labels", "picture"))


def test_files_of_an_earlier_run_are_replaced_and_counted(
    trained: Trained, nested: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    image = str(image_of("north/day/2", nested))
    for _ in range(2):
        main_predict([trained.checkpoint, image, "--out", str(tmp_path), "--device", "cpu"])
    first, second = capfd.readouterr().out.split("1 of 1 images")[:2]
    assert "of an earlier run are replaced" not in first
    assert "2 files of an earlier run are replaced" in second


@pytest.mark.parametrize("tta", [[], ["--tta"]])
def test_with_reduce_zero_label_the_first_class_is_1_as_in_the_masks(
    trained: Trained, nested: Path, tmp_path: Path, tta: list[str]
) -> None:
    options = {"test_dataloader.dataset.reduce_zero_label": True, "data_check.labels": "warn"}
    test_model(trained, nested, tmp_path, "--out", str(tmp_path / "out"), *tta, **options)
    predictor = Predictor(trained.checkpoint, tta=bool(tta), device="cpu")
    for name in NAMES:
        labels = np.array(Image.open(tmp_path / "out" / f"{name}.png"))
        assert np.array_equal(labels, predictor(image_of(name, nested)) + 1)


@pytest.mark.parametrize("option", ["--out", "--show-dir"])
def test_a_folder_of_inputs_is_refused_before_the_test(
    trained: Trained, nested: Path, tmp_path: Path, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in nested.rglob("*.*") if path.is_file()}
    (tmp_path / "flat").symlink_to(nested / "annotations" / "val")
    with pytest.raises(SystemExit):
        test_model(trained, nested, tmp_path, option, str(tmp_path / "flat"))
    assert ".png', which the test reads; name another" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit):
        test_model(trained, nested, tmp_path, option, str(tmp_path / "file"))
    assert "is a file; name a folder" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in nested.rglob("*.*") if path.is_file()} == before


def test_one_folder_for_both_kinds_of_output_is_refused(
    trained: Trained, nested: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        test_model(trained, nested, tmp_path, "--out", str(tmp_path), "--show-dir", str(tmp_path / "."))
    assert "their files have the same names; name two" in capsys.readouterr().err


@pytest.mark.slow
def test_two_processes_write_what_one_does(trained: Trained, nested: Path, tmp_path: Path, forked_python: str) -> None:
    alone, together = tmp_path / "alone", tmp_path / "together"
    command = ["tools/test.py", trained.config, trained.checkpoint, "--work-dir", str(tmp_path)]
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    data = ["--cfg-options", f"test_dataloader.dataset.data_root={nested}", "model.decode_head.norm_cfg.type=BN"]
    for folder, before, after in ((alone, [], []), (together, launch, ["--launcher", "pytorch"])):
        outputs = ["--out", str(folder / "out"), "--show-dir", str(folder / "shown")]
        run(forked_python, *before, *command, *outputs, *after, *data)
    assert (
        written(alone) == written(together) == sorted(f"{kind}/{name}" for kind in ("out", "shown") for name in NAMES)
    )
    for path in alone.rglob("*.png"):
        assert path.read_bytes() == (together / path.relative_to(alone)).read_bytes()
