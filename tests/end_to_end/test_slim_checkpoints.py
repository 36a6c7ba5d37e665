"""A checkpoint that was saved without its frozen ViT is the complete one, for all that reads checkpoints."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from safetensors.torch import load_file, save_file

from davpt_seg.apis import Predictor, load_trained
from davpt_seg.commands.predict import main_predict
from davpt_seg.commands.prune import main_prune
from davpt_seg.commands.test import main_test
from davpt_seg.compat import replace_sync_bn
from davpt_seg.errors import InputError

from ..checkpoints import Trained, with_model
from ..tools.scripts import load_script

ROOT = Path(__file__).parents[2]
ON_CPU = ["--device", "cpu"]


def command_line(arguments: list[str], trained: Trained, folder: Path) -> np.ndarray:
    main_predict([*arguments, trained.checkpoint, trained.images[0], "--out", str(folder), *ON_CPU])
    from PIL import Image

    return np.array(Image.open(folder / "0000_labels.png"))


def inferencer(config: Any, trained: Trained) -> np.ndarray:
    from mmseg.apis import MMSegInferencer

    return MMSegInferencer(config, weights=trained.checkpoint, device="cpu")(trained.images[0])["predictions"]


def init_model(trained: Trained) -> np.ndarray:
    from mmengine.model import revert_sync_batchnorm
    from mmseg.apis import inference_model
    from mmseg.apis import init_model as build

    model = revert_sync_batchnorm(build(trained.config, trained.checkpoint, device="cpu"))
    return inference_model(model, trained.images[0]).pred_sem_seg.data[0].numpy()


PREDICT: dict[str, Callable[[Trained, Path], np.ndarray]] = {
    "Predictor": lambda trained, _: Predictor(trained.checkpoint, device="cpu")(trained.images[0]),
    "Predictor with a config": lambda trained, _: Predictor(trained.checkpoint, trained.config, device="cpu")(
        trained.images[0]
    ),
    "Predictor with a ViT": lambda trained, _: Predictor(
        trained.checkpoint, device="cpu", trunk=Path(trained.weights), options={"model.backbone.weights": "/nowhere"}
    )(trained.images[0]),
    "Predictor, augmented": lambda trained, _: Predictor(trained.checkpoint, tta=True, device="cpu")(trained.images[0]),
    "predict": lambda trained, folder: command_line([], trained, folder),
    "predict CONFIG": lambda trained, folder: command_line([trained.config], trained, folder),
    "predict --trunk": lambda trained, folder: command_line(["--trunk", trained.weights], trained, folder),
    "MMSegInferencer": lambda trained, _: inferencer(trained.config, trained),
    "MMSegInferencer without a config": lambda trained, _: inferencer(None, trained),
    "init_model": lambda trained, _: init_model(trained),
}


@pytest.mark.parametrize("how", PREDICT)
def test_predictions_are_those_of_the_complete_checkpoint(
    how: str, trained: Trained, slim: Trained, tmp_path: Path
) -> None:
    expected = Predictor(trained.checkpoint, tta="augmented" in how, device="cpu")(trained.images[0])
    assert np.array_equal(PREDICT[how](slim, tmp_path), expected)


def test_a_model_is_the_complete_one_bit_for_bit(trained: Trained, slim: Trained) -> None:
    expected = torch.load(trained.checkpoint)["state_dict"]
    found = load_trained(slim.config, slim.checkpoint).state_dict()
    assert found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in expected)
    assert not any("trunk" in name for name in torch.load(slim.checkpoint)["state_dict"] if "frozen_trunk" not in name)


def test_scores_importances_and_figures_are_those_of_the_complete_checkpoint(
    trained: Trained, slim: Trained, tmp_path: Path
) -> None:
    found = []
    for each, name in ((trained, "complete"), (slim, "slim")):
        folder = tmp_path / name
        json_file = folder / "scores.json"
        options = ["--cfg-options", f"experiment_name={name}_{tmp_path.name}"]
        main_test(
            [each.config, each.checkpoint, "--work-dir", str(folder / "work"), "--json", str(json_file), *options]
        )
        prune = ["--out", str(folder / "pruned.py"), "--segments", "4", "--split", "train", "--prompt-share", "0.5"]
        main_prune([each.config, each.checkpoint, *prune])
        importance = json.loads((folder / "pruned.importance.json").read_text())
        found.append((json.loads(json_file.read_text())["metrics"], importance["prompts"], importance["segments"]))
    assert found[0] == found[1]
    cfg = Config.fromfile(slim.config)  # as MMSegmentation's own script and mim do
    cfg.merge_from_dict(dict(work_dir=str(tmp_path), load_from=slim.checkpoint, experiment_name=f"mim_{tmp_path.name}"))
    replace_sync_bn(cfg.model)
    assert Runner.from_cfg(cfg).test()["mIoU"] == pytest.approx(found[0][0]["mIoU"], abs=0.01)
    load_script(ROOT / "tools" / "demo_pictures.py").main(
        [slim.config, slim.checkpoint, "--out", str(tmp_path / "figures")]
    )


def another(weights: str, folder: Path) -> str:
    """The ViT with one digit changed."""
    tensors = load_file(weights)
    tensors["blocks.1.norm2.bias"][3] += 1e-6
    save_file(tensors, folder / "other.safetensors")
    return str(folder / "other.safetensors")


def changed(slim: Trained, folder: Path, weights: Any) -> Trained:
    """The checkpoint, its own config and that beside it with another source of the ViT."""
    cfg = Config.fromfile(slim.config)
    cfg.model.backbone.weights = weights
    cfg.dump(folder / "config.py")
    content = torch.load(slim.checkpoint)
    with_model(content, cfg)
    torch.save(content, folder / "epoch_1.pth")
    return slim._replace(config=str(folder / "config.py"), checkpoint=str(folder / "epoch_1.pth"))


def scored(trained: Trained, folder: Path) -> None:
    seed = ["--cfg-options", "randomness.seed=1"]  # or random weights would be those that training began with
    main_test([trained.config, trained.checkpoint, "--work-dir", str(folder / "work"), *seed])


REFUSING: dict[str, Callable[[Trained, Path], Any]] = {
    **{how: act for how, act in PREDICT.items() if not re.search("ViT|--trunk|augmented", how)},
    "test": scored,
    "load_trained": lambda trained, _: load_trained(trained.config, trained.checkpoint),
}


OTHER_SOURCES = ["predict", "MMSegInferencer", "MMSegInferencer without a config", "load_trained"]


@pytest.mark.parametrize(
    ("how", "source"),
    [
        *((how, "another") for how in REFUSING),
        *((how, source) for how in OTHER_SOURCES for source in ("a missing file", "none")),
    ],
)
def test_without_its_own_vit_nothing_is_predicted(
    how: str, source: str, slim: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = {"another": another(slim.weights, tmp_path), "a missing file": "/nowhere/vit.pth", "none": None}[source]
    with pytest.raises((SystemExit, InputError)) as refused:
        REFUSING[how](changed(slim, tmp_path, weights), tmp_path)
    said = f"{refused.value} {capsys.readouterr().err}"
    assert "saved without its frozen ViT and needs the weights of the file 'vit.safetensors' (format timm) for" in said
    assert "--trunk FILE" in said
    if source == "another":
        assert re.search(r"is another one, with the weights of the file 'other\.safetensors' .* \(fingerprint", said)


def test_weights_that_were_put_in_by_hand_are_judged_by_their_fingerprint(slim: Trained) -> None:
    from davpt_seg.training.model import build_model

    cfg, state = Config.fromfile(slim.config), torch.load(slim.checkpoint)["state_dict"]
    cfg.model.backbone.weights = cfg.model.train_cfg = None
    model = build_model(cfg)
    with pytest.raises(InputError, match="random weights, or weights of unknown source"):
        model.load_state_dict(state)
    model.backbone.trunk.load_state_dict(load_file(slim.weights))
    model.load_state_dict(state)


def test_a_vit_is_not_named_for_a_checkpoint_that_holds_it(trained: Trained, slim: Trained) -> None:
    with pytest.raises(InputError, match=r"holds its own ViT, so that --trunk .* does nothing: omit it"):
        Predictor(trained.checkpoint, device="cpu", trunk=slim.weights)
    with pytest.raises(InputError, match=r"needs the weights .*weights file 'no\.pth' does not exist"):
        Predictor(slim.checkpoint, device="cpu", trunk="no.pth")
