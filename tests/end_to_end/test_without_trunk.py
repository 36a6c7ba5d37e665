"""Trainings whose checkpoints are written without the frozen ViT: what they hold, and that they resume exactly."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

import mmengine.runner.runner
import pytest
import timm
import torch
from mmengine.config import Config
from mmengine.hooks import CheckpointHook, Hook
from mmengine.registry import HOOKS
from safetensors.torch import save_file

from davpt_seg.apis import load_trained
from davpt_seg.commands.train import main_train
from davpt_seg.core.record import Source, records_in
from davpt_seg.engine.frozen_trunk import size_of, take_out_trunks
from davpt_seg.training.model import build_model
from davpt_seg.training.start import stop_where_diverged

from ..checkpoints import Trained
from ..training import by_iterations, config_file, tiny_camvid, train
from .test_resume import differences

TRUNK = "backbone.trunk."
RECORD = "backbone.frozen_trunk"


@pytest.fixture(scope="module", autouse=True)
def quick_runner() -> Iterator[None]:
    """A Runner that does not ask for the machine's compilers, which takes longer than these trainings."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(mmengine.runner.runner, "collect_env", lambda: {"sys.platform": "not asked"})
        yield


@pytest.fixture(scope="module")
def vits(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Files of two ViTs."""
    folder = tmp_path_factory.mktemp("vits")
    name, kwargs = "vit_small_patch14_dinov2.lvd142m", dict(img_size=56, embed_dim=32, num_heads=2, depth=2)
    for i in (0, 1):
        torch.manual_seed(10 + i)  # other numbers than those that a model with the seed 0 draws
        save_file(timm.create_model(name, num_classes=0, **kwargs).state_dict(), folder / f"vit_{i}.safetensors")
    return [str(folder / f"vit_{i}.safetensors") for i in (0, 1)]


def experiment(data: Path, work_dir: Path, weights: Any, frozen: bool, **options: Any) -> Config:
    """Four iterations with a checkpoint after each second, and averaged weights."""
    cfg = by_iterations(tiny_camvid(data, work_dir, **{"model.backbone.weights": weights}), 4)
    cfg.default_hooks.checkpoint.update(interval=2, max_keep_ckpts=-1, save_best=None, frozen=frozen)
    cfg.custom_hooks.append(dict(type="EMAHook", momentum=0.1))
    cfg.merge_from_dict(options)
    return cfg


@pytest.fixture(scope="module")
def runs(camvid: Path, vits: list[str], tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """The work dirs of one training, whose checkpoints are complete (True) or not."""
    found = {}
    for frozen in (True, False):
        found[frozen] = tmp_path_factory.mktemp(f"frozen_{frozen}")
        train(experiment(camvid, found[frozen], vits[0], frozen))
    return found


def log_of(work_dir: Path) -> str:
    return "".join(path.read_text() for path in work_dir.glob("*/*.log"))


def without_vit(content: dict[str, Any]) -> dict[str, Any]:
    """What a complete checkpoint would hold without its ViT, which this one does not train."""
    content = copy.copy(content)
    for key in ("state_dict", "ema_state_dict"):
        content[key] = {name: value for name, value in content[key].items() if TRUNK not in name}
    return content


def test_a_checkpoint_holds_all_but_the_frozen_vit_and_names_it(runs: dict[bool, Path]) -> None:
    complete, slim = (torch.load(runs[frozen] / "iter_4.pth") for frozen in (True, False))
    for key, start in (("state_dict", ""), ("ema_state_dict", "module.")):
        (record,) = (records_in(slim[key])[f"{start}backbone."],)
        assert record.source == Source("vit_small_patch14_dinov2.lvd142m", "vit_0.safetensors", "timm")
        del slim[key][start + RECORD]
    assert differences(without_vit(complete), slim) == []
    assert any(TRUNK in name for name in complete["state_dict"])


def test_a_file_has_the_size_of_what_it_holds_and_the_log_says_it_once(runs: dict[bool, Path]) -> None:
    slim = torch.load(runs[False] / "iter_4.pth")
    held, tensors = size_of(slim), len(slim["state_dict"]) + len(slim["ema_state_dict"])
    written = (runs[False] / "iter_4.pth").stat().st_size
    assert held < written < held + 1000 * tensors + 8 * len(slim["meta"]["cfg"])
    vit = torch.load(runs[True] / "iter_4.pth")["state_dict"]
    vit = size_of({name: value for name, value in vit.items() if name.startswith(TRUNK)})
    assert (runs[True] / "iter_4.pth").stat().st_size - written > 2 * vit  # the averaged one, too
    log = log_of(runs[False])
    said = f"MB; the frozen ViT, {vit / 1e6:.1f} MB, comes from the weights of the file 'vit_0.safetensors'"
    assert log.count("checkpoints hold what was trained") == log.count(said) == 1
    assert "frozen ViT" not in log_of(runs[True])


@pytest.mark.parametrize(("first", "then"), [(True, False), (False, True), (False, False)])
def test_a_resumed_run_ends_as_the_uninterrupted_one_whichever_checkpoints_there_are(
    first: bool, then: bool, camvid: Path, vits: list[str], runs: dict[bool, Path], tmp_path: Path
) -> None:
    """Complete checkpoints are those of version 0.3 and before."""
    cfg = experiment(camvid, tmp_path / "work", vits[0], then)
    options = ["--work-dir", str(tmp_path / "work"), "--resume", str(runs[first] / "iter_2.pth")]
    main_train([config_file(cfg, tmp_path / "config.py"), *options])
    found, expected = (torch.load(folder / "iter_4.pth") for folder in (tmp_path / "work", runs[then]))
    assert differences(expected, found) == []


def test_a_run_is_not_resumed_on_another_vit(
    camvid: Path, vits: list[str], runs: dict[bool, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cfg = experiment(camvid, tmp_path / "work", vits[1], False, **{"model.backbone.norm_maps": False})
    options = ["--work-dir", str(tmp_path / "work"), "--resume", str(runs[False] / "iter_2.pth")]
    with pytest.raises(SystemExit):
        main_train([config_file(cfg, tmp_path / "config.py"), *options])
    said = capsys.readouterr().err
    assert f"checkpoint '{runs[False] / 'iter_2.pth'}': this was saved without its frozen ViT and needs" in said
    assert "the ViT here is another one, with the weights of the file 'vit_1.safetensors'" in said
    assert "What differs from the checkpoint's config: model.backbone.norm_maps: True -> False" in said


def test_load_from_fills_the_same_as_from_a_complete_checkpoint(
    camvid: Path, vits: list[str], runs: dict[bool, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options = {"optim_wrapper.optimizer.lr": 0.0, "load_from": str(runs[False] / "iter_4.pth")}
    cfg = experiment(camvid, tmp_path, vits[0], True, **options)
    with caplog.at_level(logging.INFO):
        main_train([config_file(cfg, tmp_path / "config.py"), "--work-dir", str(tmp_path)])
    found, expected = (torch.load(folder / "iter_4.pth")["state_dict"] for folder in (tmp_path, runs[True]))
    buffers = {name for name in found if "guidance" in name or "running" in name or "num_batches" in name}
    assert [name for name in found if not torch.equal(found[name], expected[name]) and name not in buffers] == []
    assert "tensors are taken, its frozen ViT from the weights of the file 'vit_0.safetensors'" in caplog.text


def test_load_from_is_refused_where_the_vit_is_another(
    camvid: Path, vits: list[str], runs: dict[bool, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(runs[False] / "iter_4.pth")
    cfg = experiment(camvid, tmp_path / "work", vits[1], False, load_from=path)
    with pytest.raises(SystemExit):
        main_train([config_file(cfg, tmp_path / "config.py"), "--work-dir", str(tmp_path / "work")])
    assert f"load_from '{path}': this was saved without its frozen ViT and needs" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("weights", "loaded", "reason"),
    [
        (None, None, "its config names no weights of it"),
        (None, 0, "its config names no weights of it"),
        (1, 0, "it has other weights than those that its config names"),
        (0, 0, ""),
        (0, None, ""),
    ],
)
def test_a_vit_that_cannot_be_read_again_stays_in_its_checkpoints(
    weights: Optional[int], loaded: Optional[int], reason: str, camvid: Path, vits: list[str], runs: dict[bool, Path]
) -> None:
    """It has random weights, those of ``load_from`` alone, or these in the place of its config's."""
    cfg = experiment(camvid, runs[True], None if weights is None else vits[weights], False)
    model = build_model(cfg)
    if loaded is None:
        model.init_weights()
    else:
        model.load_state_dict(torch.load(runs[True] / "iter_4.pth")["state_dict"])
    checkpoint = dict(state_dict=model.state_dict())
    report = take_out_trunks(model, checkpoint)
    assert ("hold the frozen ViT (0.2 MB) too, because" in report) == bool(reason) and reason in report
    assert (checkpoint["state_dict"].keys() == model.state_dict().keys()) == bool(reason)
    build_model(cfg).load_state_dict(checkpoint["state_dict"])


def test_an_average_of_another_vit_stays_in_its_checkpoint(camvid: Path, vits: list[str]) -> None:
    model = build_model(experiment(camvid, Path(), vits[0], False))
    model.init_weights()
    averaged = {f"module.{name}": value.clone() for name, value in model.state_dict().items()}
    averaged[f"module.{TRUNK}blocks.0.norm1.bias"] += 1
    checkpoint = dict(state_dict=model.state_dict(), ema_state_dict=averaged)
    assert "because its average (EMAHook) is not that of the ViT" in take_out_trunks(model, checkpoint)
    assert TRUNK + "cls_token" in checkpoint["state_dict"] and f"module.{TRUNK}cls_token" in averaged


class TrainsForAWhile(Hook):
    """Train the last norm of the ViT in the first two iterations."""

    priority = "VERY_HIGH"

    def before_train(self, runner: Any) -> None:
        self._set(runner, True)

    def after_train_iter(self, runner: Any, *args: Any, **kwargs: Any) -> None:
        if runner.iter == 1:
            self._set(runner, False)

    def _set(self, runner: Any, trained: bool) -> None:
        bias = runner.model.backbone.trunk.norm.bias
        if not trained:
            with torch.no_grad():
                bias.add_(1)  # as an optimizer of a hook does
        bias.requires_grad_(trained)


def test_what_a_hook_trained_and_froze_again_stays_in_its_checkpoints(
    camvid: Path, vits: list[str], tmp_path: Path
) -> None:
    cfg = experiment(camvid, tmp_path, vits[0], False)
    cfg.custom_hooks = [*(hook for hook in cfg.custom_hooks if hook.type != "EMAHook"), dict(type="TrainsForAWhile")]
    HOOKS.register_module(module=TrainsForAWhile, force=True)
    expected = train(cfg).model.state_dict()
    assert "training changed parameters of it that are frozen now" in log_of(tmp_path)
    found = load_trained(cfg, tmp_path / "iter_4.pth").state_dict()
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_a_half_precision_vit_is_that_of_its_float32_file_in_the_best_checkpoint_too(
    camvid: Path, vits: list[str], tmp_path: Path
) -> None:
    options = {"model.backbone.trunk_dtype": "bfloat16", "train_cfg.val_interval": 4}
    cfg = experiment(camvid, tmp_path, vits[0], False, **options)
    cfg.default_hooks.checkpoint.save_best = "mIoU"
    expected = train(cfg).model.state_dict()
    for path in tmp_path.glob("*_4.pth"):
        content = torch.load(path)
        assert RECORD in content["state_dict"]
        found = load_trained(cfg, path).state_dict()
        swapped = {name.removeprefix("module."): value for name, value in content["ema_state_dict"].items()}
        assert [name for name in expected if not torch.equal(swapped.get(name, found[name]), expected[name])] == []


@pytest.mark.parametrize("kind", ["CheckpointHook", CheckpointHook])
@pytest.mark.parametrize(
    ("source", "frozen"),
    [
        ({}, None),
        (dict(weights="a.pth"), False),
        (dict(pretrained=True), False),
        (dict(type="ResNet", weights="a"), None),
    ],
)
def test_a_foreign_config_gets_checkpoints_without_the_vit_where_it_names_one(
    kind: Any, source: dict[str, Any], frozen: Any
) -> None:
    hook = dict(type=kind, interval=1)
    cfg = Config(
        dict(model=dict(backbone=dict(dict(type="PromptedViT"), **source)), default_hooks=dict(checkpoint=hook))
    )
    stop_where_diverged(cfg)
    assert cfg.default_hooks.checkpoint.get("frozen") is frozen
    cfg.default_hooks.checkpoint = dict(hook, frozen=True)
    stop_where_diverged(cfg)
    assert cfg.default_hooks.checkpoint.frozen is True


def test_a_wrong_value_of_frozen_is_refused(trained: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main_train(
            [trained.config, "--cfg-options", "model.backbone.weights=None", "default_hooks.checkpoint.frozen=3"]
        )
    assert "AtomicCheckpointHook frozen must be True or False, got 3" in capsys.readouterr().err
