"""``load_from`` reports what it filled, and refuses to leave a frozen ViT random."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from mmengine.config import Config

from davpt_seg.commands.train import main_train

from ..training import by_iterations, config_file, tiny_camvid, train

TRUNK = "backbone.trunk."


@pytest.fixture(scope="module")
def cfg(camvid: Path, tmp_path_factory: pytest.TempPathFactory) -> Config:
    """One iteration, trained, so that its work dir has a checkpoint."""
    cfg = by_iterations(tiny_camvid(camvid, tmp_path_factory.mktemp("load") / "work"), 1)
    train(Config(cfg.to_dict()))
    return cfg


@pytest.fixture
def state(cfg: Config) -> dict[str, torch.Tensor]:
    return torch.load(f"{cfg.work_dir}/iter_1.pth")["state_dict"]


def load(cfg: Config, tmp_path: Path, state: dict[str, Any], **options: Any) -> None:
    """Train from a file of weights."""
    cfg = Config(cfg.to_dict())
    torch.save(state, tmp_path / "file.pth")
    cfg.merge_from_dict(dict(options, load_from=str(tmp_path / "file.pth"), work_dir=str(tmp_path / "work")))
    main_train([config_file(cfg, tmp_path / "config.py")])


def vit(tmp_path: Path) -> dict[str, torch.Tensor]:
    model = timm.create_model(
        "vit_small_patch14_dinov2.lvd142m", img_size=56, embed_dim=32, num_heads=2, depth=2, num_classes=0
    )
    return model.state_dict()


def without_trunk(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value for name, value in state.items() if not name.startswith(TRUNK)}


def refused(
    cfg: Config, tmp_path: Path, state: dict[str, Any], capsys: pytest.CaptureFixture[str], *parts: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        load(cfg, tmp_path, state)
    message = capsys.readouterr().err.partition("error: ")[2]
    assert ended.value.code == 2
    for part in parts:
        assert part in message
    assert not list(tmp_path.glob("work/*.pth"))


def test_a_plain_vit_file_is_refused_and_belongs_in_weights(
    cfg: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (" 0 of its ", f"--cfg-options model.backbone.weights={tmp_path}/file.pth and no load_from")
    refused(cfg, tmp_path, vit(tmp_path), capsys, *words)
    load(Config(cfg.to_dict()), tmp_path, torch.load(f"{cfg.work_dir}/iter_1.pth"))


@pytest.mark.parametrize(("of_file", "of_model"), [("joint", "offset"), ("offset", "joint"), ("gate", "joint")])
def test_prompts_of_another_start_are_refused(
    of_file: str,
    of_model: str,
    cfg: Config,
    state: dict[str, torch.Tensor],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    brought = dict(joint=[], offset=["initial.0", "initial.1"], gate=["head_gates.0", "head_gates.1"])[of_file]
    state.update({f"backbone.prompts.{name}": torch.zeros(2) for name in brought})
    model = Config(cfg.to_dict())
    model.model.backbone.prompts.start = of_model
    parts = (f"file's prompts have start='{of_file}'", f"model's start='{of_model}'", f"set prompts start='{of_file}'")
    refused(model, tmp_path, state, capsys, *parts)


@pytest.mark.parametrize("wrap", [False, True])
def test_other_prefixes_are_named(
    wrap: bool, cfg: Config, state: dict[str, torch.Tensor], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named: dict[str, Any] = {f"model.{name}": value for name, value in state.items()}
    named = dict(state_dict=named) if wrap else named
    refused(cfg, tmp_path, named, capsys, " 0 of its ", "Its names begin with 'model.', the model's do not")


def test_module_is_removed_as_mmengine_does(
    cfg: Config, state: dict[str, torch.Tensor], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="davpt_seg"):
        load(cfg, tmp_path, {f"module.{name}": value for name, value in state.items()})
    assert f"{len(state)} of its {len(state)} tensors are taken" in caplog.text


def test_an_empty_file_a_file_without_trunk_and_one_of_half_a_trunk_are_refused(
    cfg: Config, state: dict[str, torch.Tensor], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused(cfg, tmp_path, dict(state_dict={}), capsys, "The file holds no weights")
    words = ("would stay random", "keep it, and name the ViT's weights beside load_from: ", "backbone.pretrained=True")
    refused(cfg, tmp_path, without_trunk(state), capsys, "backbone.prompts", "decode_head", *words)
    heads = {name: value for name, value in state.items() if "_head." in name}
    refused(cfg, tmp_path, heads, capsys, "The file holds decode_head, auxiliary_head and no ViT: keep it, ", *words)
    prompts = {name: value for name, value in state.items() if name.startswith("backbone.prompts.")}
    refused(cfg, tmp_path, prompts, capsys, "The file holds backbone.prompts and no ViT: keep it, and name", *words)
    half = {name: value for name, value in state.items() if not name.startswith(f"{TRUNK}blocks.1.")}
    words = ("14 of its tensors would stay random (backbone.trunk.blocks.1.", " and 9 more", "it is incomplete, or of")
    refused(cfg, tmp_path, half, capsys, *words, "model.backbone.timm_kwargs")
    strange = {"encoder.conv.weight": torch.ones(3)}
    refused(cfg, tmp_path, strange, capsys, "The file's names are encoder.conv.weight, the model's backbone.")
    other = {name: value.repeat(2) if value.ndim == 1 else value for name, value in state.items()}
    refused(cfg, tmp_path, other, capsys, "of another shape than the model has")
    refused(cfg, tmp_path, dict(state_dict=3), capsys, "holds no named tensors")


def test_learned_parameters_without_a_trunk_are_fine_where_the_trunk_has_weights(
    cfg: Config, state: dict[str, torch.Tensor], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    torch.save(vit(tmp_path), tmp_path / "vit.pth")
    learned = without_trunk(state)
    with caplog.at_level(logging.INFO, logger="davpt_seg"):
        load(cfg, tmp_path, learned, **{"model.backbone.weights": str(tmp_path / "vit.pth")})
    assert f"{len(learned)} of its {len(learned)} tensors are taken; " in caplog.text
    assert "of the model not taken from it (backbone.trunk." in caplog.text


def test_lora_of_an_old_checkpoint_is_taken(
    cfg: Config, state: dict[str, torch.Tensor], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Up to version 0.3 peft put it into the trunk."""
    for block in (0, 1):
        layer = f"{TRUNK}blocks.{block}.attn.qkv."
        state[f"{layer}lora_A.default.weight"] = torch.ones(2, 32)
        state[f"{layer}lora_B.default.weight"] = torch.ones(96, 2)
    with caplog.at_level(logging.INFO, logger="davpt_seg"):
        load(cfg, tmp_path, state, **{"model.backbone.adapters": [dict(type="lora", rank=2)]})
    assert f"{len(state)} of its {len(state)} tensors are taken" in caplog.text


def test_a_new_head_is_reported(
    cfg: Config, state: dict[str, torch.Tensor], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = {name: value[:5] if name.startswith("decode_head.conv_seg") else value for name, value in state.items()}
    with caplog.at_level(logging.WARNING, logger="davpt_seg"):
        load(cfg, tmp_path, state)
    assert (
        "2 of another shape than the model has (decode_head.conv_seg.weight, decode_head.conv_seg.bias)" in caplog.text
    )


def test_a_file_that_is_none_is_refused(cfg: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.txt").write_text("vit")
    for name in ("notes.txt", "none.pth"):
        changed = Config(dict(cfg.to_dict(), load_from=str(tmp_path / name), work_dir=str(tmp_path / "work")))
        with pytest.raises(SystemExit):
            main_train([config_file(changed, tmp_path / "config.py")])
        assert f"load_from: checkpoint '{tmp_path / name}' " in capsys.readouterr().err
