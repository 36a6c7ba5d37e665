"""Several adapters label an image in one pass of their ViT, each as it does alone."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from davpt_seg.apis import Predictor, TaskPredictor, load_adapter, save_adapter
from davpt_seg.commands.predict import main_predict
from davpt_seg.errors import InputError

from .test_adapters import image, segmentor, weights  # noqa: F401  (a fixture)

SLIDE = {"model.test_cfg": dict(mode="slide", crop_size=(56, 56), stride=(28, 28))}
TASKS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "street": ("linear", "davpt", {}),
    "crops": ("setr_pup", "lora and biases", {}),
    "roofs": ("upernet", "davpt", {}),
    "lakes": ("linear", "davpt", SLIDE),
    "coasts": (
        "linear",
        "lora and biases",
        {"model.test_cfg": dict(mode="slide", crop_size=(56, 56), stride=(28, 28))},
    ),
}


@pytest.fixture(scope="module")
def folders(weights: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:  # noqa: F811
    root = tmp_path_factory.mktemp("tasks")
    return {
        name: save_adapter(segmentor(weights, kind, method, **changes), root / name)
        for name, (kind, method, changes) in TASKS.items()
    }


def test_a_list_of_images_and_paths_in_every_place(folders: dict[str, Path], weights: str, tmp_path: Path) -> None:  # noqa: F811
    path = tmp_path / "image.png"
    Image.fromarray(image()[..., ::-1].copy()).save(path)
    tasks = TaskPredictor({name: folders[name] for name in ("street", "crops")}, trunk=Path(weights), device="cpu")
    expected = tasks(str(path))
    several = [path, Image.open(path), image(), torch.from_numpy(image()[..., ::-1].transpose(2, 0, 1).copy())]
    for found in tasks(several):
        assert all(np.array_equal(found[name], expected[name]) for name in expected)
    alone = Predictor(folders["street"], trunk=Path(weights), device="cpu")
    assert np.array_equal(alone(path), expected["street"])
    load_adapter(folders["street"], trunk=Path(weights))
    with pytest.raises(InputError, match="image 2 of 2: an image is given as NoneType"):
        tasks([path, None])


def test_each_task_labels_as_it_does_alone(folders: dict[str, Path], weights: str) -> None:  # noqa: F811
    tasks = TaskPredictor(folders, trunk=weights, device="cpu")
    found = tasks(image())
    assert list(found) == list(TASKS) == list(tasks.tasks)
    for name, labels in found.items():
        alone = Predictor(folders[name], trunk=weights, device="cpu")
        assert np.array_equal(labels, alone(image())), name
        assert tasks[name].classes == alone.classes


def test_tasks_that_cut_images_alike_share_a_pass(
    folders: dict[str, Path],
    weights: str,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tasks = TaskPredictor(folders, trunk=weights, device="cpu")
    seen: list[tuple[str, ...]] = []
    kind = type(tasks._bank)
    run = kind.__call__

    def noted(self: Any, images: torch.Tensor, names: list[str]) -> Any:
        seen.append(tuple(names))
        return run(self, images, names)

    monkeypatch.setattr(kind, "__call__", noted)
    tasks(image())
    assert seen[:2] == [("street", "roofs"), ("crops",)]  # SETR-PUP's config normalises in another way
    assert len(seen) > 3 and set(seen[2:]) == {("lakes", "coasts")}  # a pass each window
    assert list(tasks(image(), ["roofs", "street"])) == ["roofs", "street"]


def test_tasks_share_one_trunk_and_come_and_leave(folders: dict[str, Path], weights: str) -> None:  # noqa: F811
    tasks = TaskPredictor({"street": folders["street"]}, trunk=weights, device="cpu")
    tasks.add("crops", folders["crops"])
    own: Any = tasks["crops"].model
    shared: Any = tasks["street"].model
    assert own.backbone.trunk.cls_token.data_ptr() == shared.backbone.trunk.cls_token.data_ptr()
    tasks.remove("street")
    assert list(tasks(image())) == ["crops"]
    with pytest.raises(ValueError, match="task 'street' is not here"):
        tasks.remove("street")
    with pytest.raises(ValueError, match="task 'crops' is here already"):
        tasks.add("crops", folders["crops"])
    with pytest.raises(ValueError, match="is no adapter folder; davpt-seg export"):
        tasks.add("x", "epoch_15.pth")
    with pytest.raises(ValueError, match="at least one adapter folder"):
        TaskPredictor({})
    with pytest.raises(ValueError, match="must be a dict of at least one adapter folder by name, got"):
        TaskPredictor([folders["crops"]])  # type: ignore[arg-type]


def test_a_task_that_another_thread_removes_leaves_after_the_image(
    folders: dict[str, Path],
    weights: str,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tasks = TaskPredictor({name: folders[name] for name in ("street", "crops")}, trunk=weights, device="cpu")
    removing = threading.Thread(target=tasks.remove, args=["crops"])
    label = tasks._label

    def interrupted(names: list[str], pixels: np.ndarray) -> Any:
        if names == ["street"]:
            removing.start()
            removing.join(timeout=0.2)
        return label(names, pixels)

    monkeypatch.setattr(tasks, "_label", interrupted)
    assert list(tasks(image())) == ["street", "crops"]
    removing.join()
    assert tasks.tasks == ("street",)


def test_predict_paints_all_adapters(folders: dict[str, Path], weights: str, tmp_path: Path) -> None:  # noqa: F811
    photo, out = tmp_path / "photo.png", tmp_path / "out"
    Image.fromarray(image()[..., ::-1]).save(photo)
    given = [f"--adapter={folders[name]}" for name in ("street", "crops")]
    main_predict([str(photo), *given, "--trunk", weights, "--out", str(out), "--device", "cpu"])
    assert {file.name for file in out.iterdir()} == {
        f"photo_{name}_{kind}.png" for name in ("street", "crops") for kind in ("labels", "picture")
    }
    expected = Predictor(folders["crops"], trunk=weights, device="cpu")(photo)
    assert np.array_equal(np.asarray(Image.open(out / "photo_crops_labels.png")), expected)


def test_a_device_that_is_not_there_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="device 'cuda:99' cannot be used here"):
        TaskPredictor(dict(street=tmp_path), device="cuda:99")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--adapter", "nowhere"], "no adapter folder"),
        (["epoch_1.pth", "--adapter", "{street}"], "takes the place of CHECKPOINT: omit epoch_1.pth"),
        (["--adapter", "{street}", "--adapter", "{street}"], "both be called 'street'"),
        (["--adapter", "{street}", "--tta"], "--tta"),
        (["--adapter", "{street}", "--cfg-options", "model.test_cfg.mode=slide"], "--cfg-options"),
    ],
)
def test_predict_refuses_what_several_adapters_cannot_do(
    arguments: list[str], message: str, folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = tmp_path / "photo.png"
    Image.fromarray(image()[..., ::-1]).save(photo)
    given = [each.format(street=folders["street"]) for each in arguments]
    with pytest.raises(SystemExit, match="2"):
        main_predict([str(photo), *given])
    assert message in capsys.readouterr().err
