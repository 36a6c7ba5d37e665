"""An adapter folder out of a checkpoint: of today's, with its frozen ViT in it, and of one that was saved without."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config

from davpt_seg.apis import Predictor
from davpt_seg.apis.adapter_export import export_adapter
from davpt_seg.commands.export import main_export
from davpt_seg.commands.export_adapter import add_adapter_arguments, run_export_adapter
from davpt_seg.commands.test import main_test
from davpt_seg.core.adapter_folder.places import CARD, CONFIG, FIGURE
from davpt_seg.core.delta import without_frozen
from davpt_seg.errors import InputError
from davpt_seg.training.model import build_model

from ..checkpoints import Trained


@pytest.fixture(scope="module")
def trunk(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The frozen ViT of a real training, as its own file."""
    state = torch.load(trained.checkpoint)["state_dict"]
    path = tmp_path_factory.mktemp("trunk") / "vit.pth"
    start = "backbone.trunk."
    torch.save({n.removeprefix(start): v for n, v in state.items() if n.startswith(start)}, path)
    return str(path)


def arguments(*given: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_adapter_arguments(parser)
    parser.add_argument("--trunk")
    parser.set_defaults(cfg_options=None)
    return parser.parse_args(given)


def test_a_checkpoints_folder_predicts_as_the_checkpoint_does(
    trained: Trained, trunk: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = dict(
        config="CONFIG",
        checkpoint=trained.checkpoint,
        mode="whole",
        tta=False,
        images=2,
        metrics=dict(mIoU=12.5, mAcc=None),
    )
    (tmp_path / "scores.json").write_text(json.dumps(scores))
    folder = str(tmp_path / "folder")
    options = ["--scores", str(tmp_path / "scores.json"), "--image", trained.images[0]]
    run_export_adapter(arguments("--out", folder, "--trunk", trunk, *options), trained.checkpoint)
    printed = capsys.readouterr().out
    assert f"{folder}: 0." in printed and "Needs the weights of the file 'vit.pth' (format timm)" in printed
    expected = Predictor(trained.checkpoint, device="cpu")
    found = Predictor(folder, trunk=trunk, device="cpu")
    for image in trained.images:
        assert np.array_equal(found(image), expected(image))
    image = trained.images[0]
    augmented = Predictor(folder, device="cpu", tta=True, trunk=trunk)
    assert np.array_equal(augmented(image), Predictor(trained.checkpoint, device="cpu", tta=True)(image))
    card = (tmp_path / "folder" / CARD).read_text()
    for part in (
        "| mIoU | 12.5 |",
        "Of 2 images",
        "davpt-seg test CONFIG epoch_1.pth --mode whole --json scores.json",
        "trained: 3 iterations, 1 epoch",
        f"]({FIGURE})",
        "`BaseSegDataset` in a folder 'camvid",
    ):
        assert part in card, card
    assert "mAcc" not in card and str(trained.data) not in card and "None" not in card
    assert (tmp_path / "folder" / FIGURE).read_bytes().startswith(b"\x89PNG")


def test_without_a_trunk_the_source_is_what_the_config_says(trained: Trained, trunk: str, tmp_path: Path) -> None:
    content = torch.load(trained.checkpoint)
    content["meta"]["cfg"] = content["meta"]["cfg"].replace("weights=None", "weights='/secret/vit.pth'")
    torch.save(content, tmp_path / "epoch_1.pth")
    done = export_adapter(tmp_path / "epoch_1.pth", tmp_path / "folder")
    assert done.record.source is not None and done.record.source.file == "vit.pth"
    assert "the weights of the file 'vit.pth' for model_name" in (tmp_path / "folder" / CARD).read_text()
    assert "secret" not in "".join(path.read_text(errors="ignore") for path in (tmp_path / "folder").iterdir())
    assert done.size < done.checkpoint_size
    Predictor(done.folder, trunk=trunk, device="cpu")


def test_the_vit_of_a_folder_of_random_weights_is_in_the_checkpoint(trained: Trained, tmp_path: Path) -> None:
    done = export_adapter(trained.checkpoint, tmp_path / "folder")
    assert done.record.source is not None and done.record.source.file == Path(trained.checkpoint).name
    with pytest.raises(InputError, match=r"of the file 'epoch_1\.pth' \(format davpt_seg\).*give trunk=FILE"):
        Predictor(done.folder, device="cpu").label(np.zeros((56, 56, 3), np.uint8))
    expected = Predictor(trained.checkpoint, device="cpu")(trained.images[0])
    assert np.array_equal(Predictor(done.folder, trunk=trained.checkpoint, device="cpu")(trained.images[0]), expected)
    shutil.copy(trained.checkpoint, tmp_path)
    assert np.array_equal(Predictor(done.folder, device="cpu")(trained.images[0]), expected)


def test_a_checkpoint_without_its_frozen_vit_is_exported_without_it_too(
    trained: Trained, trunk: str, tmp_path: Path
) -> None:
    content = torch.load(trained.checkpoint)
    predictor = Predictor(trained.checkpoint, device="cpu")
    model: Any = build_model(predictor.model.cfg, dict(weights=trunk))
    model.load_state_dict(content["state_dict"])
    state = dict(content["state_dict"])
    without_frozen(model, state)
    torch.save({**content, "state_dict": state}, tmp_path / "epoch_1.pth")
    done = export_adapter(tmp_path / "epoch_1.pth", tmp_path / "folder", mapping=True)
    assert json.loads((done.folder / CONFIG).read_text())["mapping"] is True
    found = Predictor(done.folder, trunk=trunk, device="cpu")
    assert np.array_equal(found(trained.images[0]), predictor(trained.images[0]))


def test_nothing_of_a_checkpoint_without_its_vit_is_lost_by_a_config_of_another_method(
    trained: Trained, trunk: str, tmp_path: Path
) -> None:
    config = Config.fromfile(trained.config)
    content, model = torch.load(trained.checkpoint), build_model(config, dict(weights=trunk))
    model.load_state_dict(content["state_dict"])
    without_frozen(model, content["state_dict"])
    torch.save(content, tmp_path / "epoch_1.pth")
    config.model.backbone.update(prompts=None, guidance=None)
    with pytest.raises(InputError, match=r"backbone\.prompts\.values\.0.*would be lost"):
        export_adapter(tmp_path / "epoch_1.pth", tmp_path / "folder", config)
    content["state_dict"]["backbone.trunk.norm.bias"] = torch.zeros(32)  # as a hook trained it that the config hides
    torch.save(content, tmp_path / "epoch_1.pth")
    with pytest.raises(InputError, match=r"backbone\.trunk\.norm\.bias would be lost"):
        export_adapter(tmp_path / "epoch_1.pth", tmp_path / "folder")


def test_a_complete_checkpoint_in_half_precision_works_on_the_file_of_its_vit(
    trained: Trained, trunk: str, tmp_path: Path
) -> None:
    config = Config.fromfile(trained.config)
    config.model.backbone.trunk_dtype = "bfloat16"
    model: Any = build_model(config, dict(weights=trunk))
    content = torch.load(trained.checkpoint)
    model.load_state_dict(content["state_dict"])
    torch.save({**content, "state_dict": model.state_dict()}, tmp_path / "epoch_1.pth")
    with pytest.raises(InputError, match=r"in half precision or int8.*--trunk FILE"):
        export_adapter(tmp_path / "epoch_1.pth", tmp_path / "folder", config)
    done = export_adapter(tmp_path / "epoch_1.pth", tmp_path / "folder", config, trunk)
    found = Predictor(done.folder, trunk=trunk, device="cpu")
    expected = Predictor(tmp_path / "epoch_1.pth", config, device="cpu")
    assert np.array_equal(found(trained.images[0]), expected(trained.images[0]))
    other = {name: value + 0.1 for name, value in torch.load(trunk).items()}
    torch.save(other, tmp_path / "vit.pth")
    with pytest.raises(InputError, match=r"vit\.pth' are others"):
        export_adapter(tmp_path / "epoch_1.pth", tmp_path / "folder", config, str(tmp_path / "vit.pth"))


def test_scores_of_another_training_are_refused(trained: Trained, tmp_path: Path) -> None:
    """Every training writes files of the same names."""
    name, meta = Path(trained.checkpoint).name, torch.load(trained.checkpoint)["meta"]
    other = tmp_path / "other" / name
    other.parent.mkdir()
    other.touch()
    scores = tmp_path / "scores.json"
    for about in (dict(checkpoint=str(other)), dict(checkpoint=f"gone/{name}", iter=meta["iter"] + 1)):
        scores.write_text(json.dumps(dict(mIoU=99.0, about=dict(config="x", **about))))
        with pytest.raises(InputError, match=f"are of checkpoint '.*{name}'.* is exported"):
            export_adapter(trained.checkpoint, tmp_path / "folder", scores=scores)
    scores.write_text(
        json.dumps(dict(mIoU=9.25, about=dict(config="x", checkpoint=f"moved/{name}", iter=meta["iter"])))
    )
    export_adapter(trained.checkpoint, tmp_path / "folder", scores=scores)
    assert "9.25" in (tmp_path / "folder" / "README.md").read_text()


def test_options_change_the_folders_config(trained: Trained, tmp_path: Path) -> None:
    given = ["--out", str(tmp_path / "folder"), "--cfg-options", "model.test_cfg.mode=slide"]
    given += ["model.test_cfg.crop_size=[28,28]", "model.test_cfg.stride=[14,14]"]
    main_export([trained.checkpoint, *given])
    described = json.loads((tmp_path / "folder" / "adapter_config.json").read_text())
    assert described["config"]["model"]["test_cfg"]["stride"] == [14, 14]


def test_what_does_not_fit_a_checkpoint_is_refused(trained: Trained, trunk: str, tmp_path: Path) -> None:
    other = torch.load(trunk)
    other["blocks.0.mlp.fc1.bias"] += 1
    torch.save(other, tmp_path / "other.pth")
    with pytest.raises(InputError, match=r"was trained on the weights .*; those of '.*other\.pth' are others"):
        export_adapter(trained.checkpoint, tmp_path / "folder", trunk=str(tmp_path / "other.pth"))
    for content, message in {
        json.dumps(
            dict(config="x", checkpoint="epoch_9.pth", metrics=dict(mIoU=1.0))
        ): "are of checkpoint 'epoch_9.pth'",
        json.dumps(dict(mIoU=1.0)): "name no config, checkpoint and scores",
        "{": "is not valid JSON",
    }.items():
        (tmp_path / "scores.json").write_text(content)
        with pytest.raises(InputError, match=message):
            export_adapter(trained.checkpoint, tmp_path / "folder", scores=tmp_path / "scores.json")
    with pytest.raises(InputError, match="must be a file that davpt-seg test"):
        export_adapter(trained.checkpoint, tmp_path / "folder", scores=tmp_path)
    with pytest.raises(InputError, match="give --trunk FILE"):
        run_export_adapter(arguments("--out", "x", "--image", "y.png"), trained.checkpoint)
    with pytest.raises(InputError, match="'hub:street' must be hub:USER/NAME"):
        run_export_adapter(arguments("--out", str(tmp_path / "folder"), "--push-to-hub", "street"), trained.checkpoint)
    assert not (tmp_path / "folder").exists()


@pytest.mark.parametrize("tta", [[], ["--tta"]], ids=["once", "tta"])
def test_a_folder_is_tested_as_its_checkpoint_is(
    tta: list[str], trained: Trained, trunk: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(export_adapter(trained.checkpoint, tmp_path / "folder", trunk=trunk).folder)
    for name, options in {trained.checkpoint: [], folder: ["--trunk", trunk]}.items():
        scores = tmp_path / f"{Path(name).name}.json"
        main_test([trained.config, name, *options, *tta, "--json", str(scores), "--work-dir", str(tmp_path / "work")])
    metrics = [json.loads((tmp_path / f"{name}.json").read_text())["metrics"] for name in ("epoch_1.pth", "folder")]
    assert metrics[0] == metrics[1] and metrics[0]["mIoU"] > 0
    other = ["--cfg-options", "model.decode_head.num_convs=2"]
    with pytest.raises(SystemExit, match="2"):
        main_test([trained.config, folder, "--trunk", trunk, *other, "--work-dir", str(tmp_path / "work")])
    assert "is not of" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["model.data_preprocessor.mean=[0,0,0]", "model.backbone.norm_maps=False"])
def test_a_folder_is_not_tested_by_a_config_with_the_same_parameters_and_other_arguments(
    option: str, trained: Trained, trunk: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(export_adapter(trained.checkpoint, tmp_path / "folder", trunk=trunk).folder)
    options = ["--trunk", trunk, "--work-dir", str(tmp_path / "work"), "--cfg-options", option]
    with pytest.raises(SystemExit, match="2"):
        main_test([trained.config, folder, *options])
    assert "is not of this config: with the same parameters, its predictions differ" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["folder", "checkpoint"])
def test_classes_in_another_order_are_not_scored_as_one_another(
    kind: str, trained: Trained, trunk: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = torch.load(trained.checkpoint)
    meta = content["meta"]["dataset_meta"]
    meta["classes"] = (meta["classes"][1], meta["classes"][0], *meta["classes"][2:])
    torch.save(content, tmp_path / "epoch_1.pth")
    given = [str(tmp_path / "epoch_1.pth")]
    if kind == "folder":
        given = [str(export_adapter(given[0], tmp_path / "folder", trunk=trunk).folder), "--trunk", trunk]
    with pytest.raises(SystemExit, match="2"):
        main_test([trained.config, *given, "--work-dir", str(tmp_path / "work")])
    assert "other numbers of the same classes than the test's data set has (" in capsys.readouterr().err
