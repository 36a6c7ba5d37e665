"""Recognition from the command line: training, testing and resuming an unmodified mmpretrain classifier."""

from __future__ import annotations

import json
import re
import uuid
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from davpt_seg.commands.test import main_test
from davpt_seg.commands.train import main_train
from davpt_seg.experiments.compose import compose_from_words

from ..recognition import write_vtab

TINY = [
    "model.backbone.model_name=vit_tiny_patch16_224",
    "model.backbone.weights=None",
    "model.backbone.timm_kwargs.img_size=16",
    "model.backbone.timm_kwargs.patch_size=8",
    "model.backbone.timm_kwargs.embed_dim=16",
    "model.backbone.timm_kwargs.num_heads=2",
    "model.head.in_channels=16",
    "train_dataloader.num_workers=0",
    "test_dataloader.num_workers=0",
    "default_hooks.logger.interval=1",
]
WITH_VAL = ["val_dataloader.num_workers=0"]  # torch refuses persistent_workers, which the configs set, beside it


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_vtab(tmp_path / "vtab", "dmlab", train=24, val=12, test=18)
    monkeypatch.setenv("VTAB_ROOT", str(tmp_path / "vtab"))


def words(**changes: Any) -> str:
    parts = dict(method="davpt", trunk="vits14", data="vtab/dmlab", epochs=2, image_size=56, batch_size=12)
    parts.update(prompts=2, guided_prompts=2, lr=0.02)
    return ",".join(f"{key}={value}" for key, value in {**parts, **changes}.items())


def train(work_dir: Path, *arguments: str, options: tuple[str, ...] = (), **changes: Any) -> dict[str, Any]:
    """Train and test from the command line, and return the scores."""
    scores = work_dir / "scores.json"
    validated = WITH_VAL if changes.get("split") != "final" else []
    main_train(
        [words(**changes), "--work-dir", str(work_dir), "--test", str(scores), *arguments]
        # MMEngine's visualizers live as long as their name, and write where the first of that name did
        + ["--cfg-options", f"visualizer.name=v{uuid.uuid4().hex}", *TINY, *validated, *options]
    )
    return json.loads(scores.read_text())


def logged(work_dir: Path, key: str) -> list[float]:
    (log,) = sorted(work_dir.glob("*/vis_data/scalars.json"))[-1:]
    return [row[key] for row in map(json.loads, log.read_text().splitlines()) if key in row]


def weights(work_dir: Path, epoch: int = 2) -> dict[str, torch.Tensor]:
    return torch.load(work_dir / f"epoch_{epoch}.pth", map_location="cpu")["state_dict"]


def test_choosing_trains_with_guidance_and_scores_the_validation_split(tmp_path: Path) -> None:
    scores = train(tmp_path / "run")
    assert scores["about"]["split"] == "val200"
    assert scores["about"]["images"] == 12
    assert scores["about"]["trained_in_backbone"] == 12 * 2 * 16
    assert scores["about"]["trained"] == 12 * 2 * 16 + 6 * 17
    assert scores["accuracy/top1"] == pytest.approx(logged(tmp_path / "run", "accuracy/top1")[-1])
    for name in ("loss_metric_patch", "loss_metric_cls"):
        assert min(logged(tmp_path / "run", name)) > 0
    state = weights(tmp_path / "run")
    mapping = state["backbone.guidance.mapping.prompt_of_class"]
    assert sorted(mapping.unique().tolist()) == [0, 1]  # six classes share two prompts


@pytest.mark.parametrize(("trunk", "amp"), [("vits14", True), ("vitb_mae", False)])
def test_the_release_trains_with_its_losses_and_clusters_from_its_epoch(trunk: str, amp: bool, tmp_path: Path) -> None:
    options = ("model.backbone.pretrained=False",) if trunk == "vitb_mae" else ()
    changes = dict(method="davpt_release", trunk=trunk, image_size=32 if trunk == "vitb_mae" else 56)
    arguments = ("--amp",) if amp else ()
    train(tmp_path / "run", *arguments, options=options, **changes, epochs=4, kmeans_from_epoch=2)
    for name in ("loss_metric_patch", "loss_metric_cls"):
        assert min(logged(tmp_path / "run", name)) > 0
    state = weights(tmp_path / "run", epoch=4)
    start = 0.125 * (6 / ((2 + 11) * 16)) ** 0.5  # of eleven blocks' two prompts; the rate of the run is 0.02
    assert state["backbone.prompts.values.0"].abs().max() != pytest.approx(start, rel=0.5)  # they learn
    lines = [json.loads(line) for line in (tmp_path / "run" / "mapping.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [0, 2, 3]
    assert state["backbone.guidance.mapping.class_means"].shape == (6, 16)


def test_the_final_run_is_tested_alike_by_both_tools(tmp_path: Path) -> None:
    scores = train(tmp_path / "run", split="final", options=("randomness.seed=3",))
    assert (scores["about"]["split"], scores["about"]["images"]) == ("test", 18)
    again, picture = tmp_path / "again.json", tmp_path / "matrix.png"
    main_test(
        [words(split="final"), str(tmp_path / "run" / "epoch_2.pth"), "--work-dir", str(tmp_path / "test")]
        + ["--json", str(again), "--confusion-matrix", str(picture), "--cfg-options", *TINY]
    )
    repeated = json.loads(again.read_text())
    assert repeated["accuracy/top1"] == scores["accuracy/top1"]
    for about in (scores["about"], repeated["about"]):  # the test itself ran with seed 0
        assert (about["seed"], about["epoch"]) == (3, 2)
    assert picture.stat().st_size > 10_000


def test_a_resumed_training_ends_where_it_would_have(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    keep = ("default_hooks.checkpoint.max_keep_ckpts=3",)
    train(whole, options=keep)
    cut = tmp_path / "cut"
    cut.mkdir()
    (cut / "epoch_1.pth").write_bytes((whole / "epoch_1.pth").read_bytes())
    (cut / "last_checkpoint").write_text(str(cut / "epoch_1.pth"))
    train(cut, "--resume", options=keep)
    expected = weights(whole)
    assert not torch.equal(expected["head.fc.weight"], weights(whole, 1)["head.fc.weight"])
    for name, value in weights(cut).items():
        torch.testing.assert_close(value, expected[name], rtol=0, atol=0, msg=name)


def test_scores_need_something_to_test_on(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    nothing = [f"test_{part}=None" for part in ("dataloader", "evaluator", "cfg")]
    with pytest.raises(SystemExit):
        main_train([words(), "--test", str(tmp_path / "scores.json"), "--cfg-options", *nothing])
    assert "--test: this config has no test_dataloader" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--out", "--show-dir", "--mode"])
def test_options_of_segmentation_are_refused(option: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    value = "whole" if option == "--mode" else str(tmp_path / "out")
    with pytest.raises(SystemExit):
        main_test([words(), str(tmp_path / "epoch_1.pth"), option, value, "--cfg-options", *TINY, *WITH_VAL])
    assert f"{option} is for segmentation, and this config classifies images" in capsys.readouterr().err


def test_the_average_of_weights_is_not_tested_by_mistake(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    cfg = compose_from_words(words())
    cfg.custom_hooks = [*cfg.custom_hooks, dict(type="EMAHook")]
    cfg.dump(tmp_path / "averaged.py")
    with pytest.raises(SystemExit):
        main_train([str(tmp_path / "averaged.py"), "--test", str(tmp_path / "scores.json")])
    assert "--test would test the weights that EMAHook averages" in capsys.readouterr().err


def test_a_classifier_trains_with_guidance_on_mixed_images(tmp_path: Path) -> None:
    cfg = compose_from_words(words())
    mixing = [dict(type="Mixup", alpha=0.8), dict(type="CutMix", alpha=1.0)]
    cfg.model.data_preprocessor.batch_augments = dict(augments=mixing)
    config = tmp_path / "mixed.py"
    cfg.dump(config)
    options = [f"visualizer.name=v{uuid.uuid4().hex}", *TINY, *WITH_VAL]
    main_train([str(config), "--work-dir", str(tmp_path / "run"), "--cfg-options", *options])
    for name in ("loss_metric_patch", "loss_metric_cls"):
        assert min(logged(tmp_path / "run", name)) > 0


@pytest.mark.parametrize("options", [(), ("--amp",)])
@pytest.mark.parametrize("split", ["choose", "final"])
def test_a_dry_run_scores_a_batch_of_each_split_that_the_training_has(
    split: str, options: tuple[str, ...], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "scores.json").write_text("{}")  # which a dry run leaves as it is
    assert train(tmp_path, "--dry-run", *options, split=split) == {}
    said = "".join(capfd.readouterr())
    assert f"Scores of one {'val' if split == 'choose' else 'test'} batch before training: " in said
    assert "nothing was trained. Next: " in said
    assert re.search(r"\n  lr +0.02 +the command\n", said)
    assert re.search(r"\n  patch_weight +0.01 +ours, row of davpt, vits14, \*\n", said)


def test_tensorboard_has_a_panel_of_classified_images_and_scores_over_iterations(tmp_path: Path) -> None:
    train(tmp_path / "run", "--tensorboard", options=("train_cfg.val_interval=1",))
    (folder,) = {file.parent for file in (tmp_path / "run").rglob("events.out.tfevents.*")}
    found = EventAccumulator(str(folder)).Reload()
    assert [each.step for each in found.Scalars("accuracy/top1")] == [2, 4]  # of two epochs of two iterations
    assert [each.step for each in found.Images("panel")] == [2, 4]
    assert [each.value for each in found.Scalars("accuracy/top1")] == logged(tmp_path / "run", "accuracy/top1")
