"""tools/predict.py and Predictor: what they take, what they write, and what they say to wrong input."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from shutil import copytree
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image

from davpt_seg.apis.predictor import Predictor
from davpt_seg.commands.box_outputs import _summary as boxes_summary
from davpt_seg.commands.images import find_images, output_stems
from davpt_seg.commands.label_outputs import _summary
from davpt_seg.commands.predict import main_predict, show
from davpt_seg.errors import InputError
from davpt_seg.image_names import IMAGE_SUFFIXES
from davpt_seg.training.trained_checkpoint import load_strictly
from davpt_seg.visualization.detections import Detections

from ..checkpoints import Trained


def error_of(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run the command line, which must end with an error, and return what it said."""
    with pytest.raises(SystemExit) as ended:
        main_predict(arguments)
    assert ended.value.code == 2
    return capsys.readouterr().err


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of two images and a text, with one more image below."""
    for name in ("b.png", "a.jpg", "below/c.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 6)).save(path)
    (tmp_path / "notes.txt").write_text("no image")
    return tmp_path


def test_files_folders_and_patterns_name_images_each_once(folder: Path) -> None:
    found = find_images([str(folder / "b.png"), str(folder), f"{folder}/**/*.png"])
    assert [path.name for path in found] == ["b.png", "a.jpg", "c.png"]


@pytest.mark.parametrize("name", ["0\udce9.jpg", "z\udce9.jpg"])
def test_a_name_that_is_not_utf8_is_refused_before_opencv_crashes_on_it(folder: Path, name: str) -> None:
    shutil.copy(folder / "a.jpg", folder / name)
    with pytest.raises(InputError, match=r"udce9\.jpg' is not UTF-8; rename it"):
        find_images([str(folder)])


def test_every_suffix_of_an_image_is_found_in_a_folder(folder: Path) -> None:
    for number, suffix in enumerate(IMAGE_SUFFIXES):
        shutil.copy(folder / "a.jpg", folder / "below" / f"{number}{suffix}")
    assert len(find_images([str(folder / "below")])) == len(IMAGE_SUFFIXES) + 1


def test_an_image_that_is_given_twice_is_found_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    (folder / "link").symlink_to(folder / "below")
    given = ["below/c.png", str(folder / "below" / "c.png"), "below/../below/c.png", "link/c.png", "./a.jpg", "a.jpg"]
    assert find_images(given) == [Path("below/c.png"), Path("a.jpg")]


def test_outputs_keep_no_folder_that_is_not_needed(folder: Path) -> None:
    images = [folder / "a.jpg", folder / "below" / "c.png"]
    assert output_stems(images, Path("out")) == [Path("out/a"), Path("out/c")]


def test_outputs_that_would_replace_an_input_are_refused(folder: Path) -> None:
    copy = folder / "b_labels.png"  # what an earlier run may have left in a folder that is predicted again
    copy.write_bytes((folder / "b.png").read_bytes())
    output_stems([folder / "b.png", copy], folder / "out")
    with pytest.raises(InputError, match=r"'b_labels\.png', the output for .*b\.png', would replace an image"):
        output_stems([folder / "b.png", copy], folder)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("none.jpg", "image '.*none.jpg' does not exist"),
        ("empty", "folder '.*empty' holds no image .*a pattern: '.*empty/\\*\\*/\\*.jpg'"),
        ("*.tiff", "pattern '.*tiff' matches no file"),
        ("notes.txt", "none of these files is an image that OpenCV can read: .*notes.txt"),
    ],
)
def test_wrong_images_are_named_before_the_checkpoint_is_read(
    folder: Path, image: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "empty").mkdir()
    said = error_of(["no_such.pth", str(folder / image)], capsys)
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(said)


def test_no_image_at_all_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert "no IMAGE is given" in error_of(["epoch_1.pth"], capsys)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--opacity", "2"], "--opacity 2.0: must be from 0 (only the image) to 1"),
        (["--device", "abacus"], "device 'abacus' cannot be used here"),
        (["--out", "b.png"], "is a file; name a folder"),
        ([], "checkpoint 'no_such.pth' does not exist"),
    ],
)
def test_wrong_options_are_named(
    folder: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    assert message in error_of(["no_such.pth", "a.jpg", *options], capsys)


@pytest.mark.parametrize("device", ["cudaa", "cuda:99", "", 3.5])
def test_a_device_that_is_not_there_is_refused_before_the_checkpoint_is_read(device: Any) -> None:
    with pytest.raises(InputError, match=re.escape(f"device {device!r} cannot be used here: ")) as refused:
        Predictor("no_such.pth", device=device)
    assert device != "cudaa" or ("Expected one of cpu, cuda, " in str(refused.value))


def test_a_broken_checkpoint_and_one_without_weights_are_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image, checkpoint = str(folder / "a.jpg"), folder / "epoch_1.pth"
    checkpoint.write_bytes(b"not a checkpoint")
    assert f"checkpoint '{checkpoint}' is a text ('not a checkpoint')" in error_of([str(checkpoint), image], capsys)
    checkpoint.write_bytes(b"\0not a checkpoint")
    assert f"checkpoint '{checkpoint}' is broken, no checkpoint, or holds more than data" in error_of(
        [str(checkpoint), image], capsys
    )
    torch.save(dict(meta={}), checkpoint)
    assert "holds no 'state_dict'" in error_of([str(checkpoint), image], capsys)
    torch.save(dict(meta=dict(cfg="model = dict()\n"), state_dict={}), checkpoint)
    assert "names no classes and colours" in error_of([str(checkpoint), image], capsys)


def test_a_checkpoint_of_another_config_is_refused_by_the_names_of_its_weights(
    trained: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [trained.config, trained.checkpoint, trained.images[0], "--device", "cpu", "--cfg-options"]
    said = error_of([*arguments, "model.backbone.prompts.num_prompts=3"], capsys)
    assert f"checkpoint '{trained.checkpoint}' is not of {trained.config}" in said
    assert "backbone.prompts.values.0" in said
    said = error_of([*arguments, "model.test_cfg.stride=None", "--mode", "slide"], capsys)
    assert "--mode slide needs a window" in said


def test_a_config_inside_a_checkpoint_that_holds_code_is_not_run(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = torch.load(trained.checkpoint)
    content["meta"]["cfg"] += f"\nx = open('{tmp_path / 'ran'}', 'w')\n"
    torch.save(content, tmp_path / "evil.pth")
    assert "holds code, or more than registered classes, so it is not used" in error_of(
        [str(tmp_path / "evil.pth"), trained.images[0]], capsys
    )
    assert not (tmp_path / "ran").exists()


def test_every_image_gets_a_picture_a_label_map_and_a_summary(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "in" / "0001a.jpg"
    images = [*Path(copytree(trained.data / "images" / "val", tmp_path / "in")).iterdir()]
    broken.write_bytes(images[0].read_bytes()[:100])
    with pytest.raises(SystemExit) as ended:
        main_predict(
            [
                *(trained.config, trained.checkpoint, str(tmp_path / "in"), "--out", str(tmp_path)),
                *("--device", "cpu", "--show"),
            ]
        )
    assert ended.value.code == 1
    printed = capsys.readouterr()
    assert f"1 of 3 could not be read:\n  '{broken}' is no image" in printed.err
    assert "2 of 3 images" in printed.out
    predictor = Predictor(trained.checkpoint, device="cpu")  # with the config that the checkpoint remembers
    for image in images:
        labels = np.array(Image.open(tmp_path / f"{image.stem}_labels.png"))
        assert np.array_equal(labels, predictor(str(image)))
        assert len(np.unique(labels)) > 2
        shares = np.bincount(labels.ravel()) / labels.size
        best = predictor.classes[shares.argmax()]
        assert f"s  {best} {100 * shares.max():.1f} %, " in printed.out
        picture = tmp_path / f"{image.stem}_picture.png"
        assert Image.open(picture).width > 1000
        assert f"no display to show it on; open {picture}" in printed.out


def test_names_of_classes_and_files_cannot_steer_the_terminal() -> None:
    classes = ["\x1b]0;owned\x07\x1b[2Jsky\nline", "road"]
    said = [_summary(np.zeros((2, 2), int), classes), boxes_summary(detections(), classes, 0)]
    assert all("\\x1b]0;owned\\x07" in line and line.isprintable() for line in said)


def detections() -> Detections:
    """Return one object of the first class."""
    return Detections(np.zeros((1, 4), np.float32), np.ones(1, np.float32), np.zeros(1, int), None)


def test_show_opens_a_window_where_there_is_a_display(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = tmp_path / "picture.png"
    Image.new("RGB", (8, 6), "red").save(picture)
    shown = []
    canvas = type(plt.figure().canvas)
    monkeypatch.setattr(canvas, "required_interactive_framework", "some toolkit")
    monkeypatch.setattr(plt, "show", lambda: shown.append(plt.gcf().axes[0].images[0].get_array()))
    assert show(picture)
    assert shown[0].shape == (6, 8, 3) and shown[0][0, 0].tolist() == [1, 0, 0]
    plt.close("all")


def test_hundreds_of_names_that_do_not_fit_are_cut(tmp_path: Path) -> None:
    model = torch.nn.ModuleList(torch.nn.Linear(2, 2) for _ in range(100))
    with pytest.raises(InputError) as error:
        load_strictly(model, {"state_dict": {f"other.{i}": torch.ones(2) for i in range(300)}}, "a.pth", "the config")
    message = str(error.value)
    assert message.startswith(
        "checkpoint 'a.pth' is not of the config: Missing key(s) in state_dict: "
        '"0.weight", "0.bias", "1.weight", "1.bias", "2.weight" and 195 more; Unexpected key(s) in state_dict: '
    )
    assert '"other.4" and 295 more. Give the config that was trained' in message
    assert "\n" not in message
