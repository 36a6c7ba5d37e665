"""Every public checkpoint format gives the features of the ViT it was written from, and is called by its name."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import timm
import torch
from timm.layers import SwiGLUPacked
from timm.models.vision_transformer import VisionTransformer, checkpoint_filter_fn
from torch import Tensor
from torch.nn import functional as F

from davpt_seg.core import PromptedViT
from davpt_seg.core.weights import FORMATS, load_weights, open_checkpoint
from davpt_seg.errors import InputError

from . import checkpoint_writers as write
from .checkpoint_writers import State

NAME = "vit_tiny_patch16_224"
TINY = dict(img_size=32, patch_size=8, embed_dim=32, depth=2, num_heads=4)
SCALED = dict(TINY, init_values=0.3)
REGISTERS = dict(SCALED, reg_tokens=3, no_embed_class=True)
SWIGLU = dict(SCALED, mlp_layer=SwiGLUPacked, act_layer=torch.nn.SiLU, mlp_ratio=2)


def prompted(seed: int = 0, name: str = NAME, **kwargs: Any) -> PromptedViT:
    """A ViT with values that no other tensor has, whose features show all of its blocks and its final norm."""
    model = PromptedViT(name, out_indices=(0, 1), norm_maps=True, timm_kwargs=kwargs or TINY)
    write.randomise(model.trunk, seed)
    return model.eval()


def state_of(model: PromptedViT) -> State:
    return dict(model.trunk.state_dict())


def save(content: Any, path: Path) -> Path:
    """Write a checkpoint by the ending of its path."""
    if path.suffix == ".npz":
        np.savez(path, **content)
    elif path.suffix == ".safetensors":
        safetensors.torch.save_file({name: value.contiguous() for name, value in content.items()}, path)
    else:
        torch.save(content, path)
    return path


@torch.no_grad()
def features(model: PromptedViT) -> list[Tensor]:
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    found = model(images)
    return [*found.maps, *([] if found.class_token is None else [found.class_token])]


def assert_same_features(path: Path, reference: PromptedViT, name: str = NAME, **kwargs: Any) -> None:
    model = PromptedViT(name, weights=str(path), out_indices=(0, 1), norm_maps=True, timm_kwargs=kwargs or TINY)
    for ours, wanted in zip(features(model.eval()), features(reference), strict=True):
        assert torch.equal(ours, wanted)


def wrapped(key: str) -> Callable[[State], Any]:
    return lambda state: {key: state, "epoch": 3}


FILES: dict[str, tuple[str, str, dict[str, Any], Callable[[State], Any]]] = {
    # case: (format, ending, timm_kwargs, writer)
    "timm safetensors": ("timm", ".safetensors", TINY, lambda s: s),
    "timm with its classifier": ("timm", ".pth", TINY, lambda s: {**s, **write.head(32)}),
    "timm state_dict": ("timm", ".pth.tar", TINY, wrapped("state_dict")),
    "timm model": ("timm", ".pth", TINY, wrapped("model")),
    "timm of DDP and compile": ("timm", ".bin", TINY, lambda s: write.prefixed(s, "module._orig_mod.")),
    "timm EMA": (
        "timm",
        ".pth.tar",
        TINY,
        lambda s: {"state_dict": {k: v + 1 for k, v in s.items()}, "state_dict_ema": s, "optimizer": write.adam(s)},
    ),
    "DeiT-III": (
        "timm",
        ".pth",
        dict(SCALED, no_embed_class=True),
        lambda s: {
            "model": {name.replace("ls1.gamma", "gamma_1").replace("ls2.gamma", "gamma_2"): s[name] for name in s}
        },
    ),
    "DINO backbone": ("timm", ".pth", TINY, lambda s: s),
    "DINO full": ("DINO", ".pth", TINY, lambda s: write.dino({k: v + 1 for k, v in s.items()}, s)),
    "MoCo-v3": ("MoCo-v3", ".pth.tar", TINY, lambda s: write.moco_v3(s, {k: v + 1 for k, v in s.items()})),
    "MoCo-v3 linear probe": (
        "timm",
        ".pth.tar",
        TINY,
        write.moco_v3_probe,
    ),
    "MAE encoder": ("timm", ".pth", TINY, wrapped("model")),
    "MAE pre-training": ("MAE", ".pth", TINY, write.mae_pretraining),
    "MAE fine-tuned": ("MAE", ".pth", TINY, write.mae_finetuned),
    "MAE fine-tuned, average pooled": (
        "MAE",
        ".pth",
        dict(TINY, global_pool="avg"),
        lambda s: {"model": s | write.head(32)},
    ),
    "DINOv2": ("DINOv2", ".pth", SCALED, write.dinov2),
    "DINOv2 registers": ("DINOv2", ".pth", REGISTERS, write.dinov2),
    "DINOv2 chunks": ("DINOv2", ".pth", SCALED, lambda s: write.dinov2(s, chunks=2)),
    "DINOv2 SwiGLU": ("DINOv2", ".pth", SWIGLU, lambda s: write.swiglu(write.dinov2(s))),
    "DINOv2 teacher": (
        "DINOv2",
        ".pth",
        REGISTERS,
        lambda s: {
            "teacher": write.prefixed(write.dinov2(s, 1), "backbone.") | {"dino_head.mlp.0.weight": write.noise(2, 2)}
        },
    ),
    "mmpretrain": ("mmpretrain", ".pth", TINY, lambda s: write.mmengine(write.mmpretrain(s))),
    "mmpretrain layer scale": ("mmpretrain", ".pth", SCALED, lambda s: write.mmengine(write.mmpretrain(s))),
    "mmpretrain backbone": ("mmpretrain", ".pth", TINY, write.mmpretrain),
    "mmpretrain momentum": (
        "mmpretrain",
        ".pth",
        TINY,
        lambda s: {
            "state_dict": write.prefixed(write.mmpretrain(s), "backbone.")
            | write.prefixed(write.mmpretrain({k: v + 1 for k, v in s.items()}), "momentum_encoder.module.0.")
        },
    ),
    "mmseg": ("mmseg", ".pth", TINY, lambda s: write.mmengine(write.mmseg(s))),
    "mmseg backbone": ("mmseg", ".pth", TINY, write.mmseg),
    "mmseg without final norm": (
        "mmseg",
        ".pth",
        dict(TINY, final_norm=False),
        lambda s: write.mmengine(write.mmseg(s)),
    ),
    "davpt_seg": (
        "davpt_seg",
        ".pth",
        TINY,
        lambda s: write.mmengine(write.prefixed(s, "trunk.") | {"prompts.tokens.0": write.noise(4, 32)}),
    ),
    "davpt_seg EMA": (
        "davpt_seg",
        ".pth",
        TINY,
        lambda s: write.mmengine(
            write.prefixed(s, "trunk."),
            ema_state_dict={"steps": torch.tensor(1)}
            | write.prefixed({k: v + 1 for k, v in s.items()}, "module.backbone.trunk."),
        ),
    ),
    "Hugging Face ViT": (
        "transformers",
        ".safetensors",
        TINY,
        lambda s: write.prefixed(write.transformers(s, False), "vit.") | {"classifier.weight": write.noise(2, 32)},
    ),
    "Hugging Face Dinov2": ("transformers", ".safetensors", SCALED, lambda s: write.transformers(s, True)),
    "OpenAI CLIP": ("CLIP", ".bin", dict(TINY, pre_norm=True), write.openai_clip),
    "OpenCLIP with a timm tower": (
        "CLIP",
        ".safetensors",
        TINY,
        lambda s: write.prefixed(s, "visual.trunk.") | {"text.token_embedding.weight": write.noise(2, 2)},
    ),
    "JAX": ("JAX", ".npz", TINY, lambda s: write.jax(s, 4)),
    "JAX opt/target": ("JAX", ".npz", TINY, lambda s: {f"opt/target/{k}": v for k, v in write.jax(s, 4).items()}),
    "JAX big_vision": ("JAX", ".npz", TINY, lambda s: write.jax(s, 4, big_vision=True)),
    "JAX big_vision stacked": ("JAX", ".npz", TINY, lambda s: write.jax(s, 4, big_vision=True, stacked=True)),
    "JAX big_vision, class token without position": (
        "JAX",
        ".npz",
        dict(TINY, no_embed_class=True),
        lambda s: write.jax(s, 4, big_vision=True),
    ),
}


@pytest.mark.parametrize(("format_", "ending", "kwargs", "writer"), FILES.values(), ids=FILES)
def test_a_file_gives_the_features_it_was_written_from_and_its_format_is_named(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    format_: str,
    ending: str,
    kwargs: dict[str, Any],
    writer: Callable[[State], Any],
) -> None:
    reference = prompted(**kwargs)
    path = save(writer(state_of(reference)), tmp_path / f"file{ending}")
    with caplog.at_level(logging.INFO, logger="davpt_seg"):
        assert_same_features(path, reference, **kwargs)
    assert f"from {path}: format {format_}" in caplog.text
    assert open_checkpoint(path).format == format_


def test_every_format_of_the_table_has_a_case_above() -> None:
    from .test_weights_eva import FILES as EVA_FILES

    here = {case[0] for case in [*FILES.values(), *EVA_FILES.values()]}
    assert here == {format_.name for format_ in FORMATS} | {"JAX"}


@pytest.mark.parametrize(
    ("case", "name", "shape"),
    [
        ("DINOv2 registers", "cls_token", (0,)),
        ("DINOv2 registers", "pos_embed", (3,)),
        ("OpenAI CLIP", "visual.proj", (3,)),
    ],
)
def test_a_tensor_that_timms_filter_cannot_turn_is_refused(
    tmp_path: Path, case: str, name: str, shape: tuple[int, ...]
) -> None:
    format_, _, kwargs, writer = FILES[case]
    trunk = prompted(**kwargs)
    path = save({**writer(state_of(trunk)), name: torch.ones(shape)}, tmp_path / "file.pth")
    with pytest.raises(InputError, match=rf"\(format {format_}\) has a tensor of a shape that its format never has"):
        load_weights(trunk.trunk, path)


LEFT_OUT = {
    "MoCo-v3": ["head.7.running_var", "network which='momentum_encoder'", "module.predictor.0.weight"],
    "DINO full": ["network which='student'", "teacher.head.mlp.0.weight", "dino_loss.center"],
    "MAE pre-training": ["mask_token", "decoder (decoder_pos_embed, decoder_embed.weight"],
    "timm with its classifier": ["classifier or projection head (head.weight, head.bias)"],
    "DINOv2": ["mask token (mask_token)"],
    "mmseg": ["other modules (state_dict.decode_head.conv_seg.weight, state_dict.data_preprocessor.mean)"],
    "davpt_seg": ["state_dict.backbone.prompts.tokens.0"],
    "davpt_seg EMA": ["network which='ema_state_dict'"],
    "MAE fine-tuned": ["fc_norm taken as norm", "head.weight"],
    "JAX": ["classifier or projection head (head/kernel, head/bias)"],
    "timm EMA": ["network which='state_dict'"],
}


@pytest.mark.parametrize(("case", "said"), LEFT_OUT.items(), ids=LEFT_OUT)
def test_what_is_left_out_on_purpose_is_said(tmp_path: Path, case: str, said: list[str]) -> None:
    _, ending, kwargs, writer = FILES[case]
    source = prompted(**kwargs)
    checkpoint = load_weights(source.trunk, save(writer(state_of(source)), tmp_path / f"file{ending}"))
    names = [name for group in checkpoint.left_out.values() for name in group]
    text = f"{checkpoint.summary()} {names}"
    assert [words for words in said if words not in text] == []


@pytest.mark.parametrize(
    ("writer", "which", "other"),
    [
        (write.moco_v3, "base_encoder", "momentum_encoder"),
        (lambda one, two: write.dino(two, one), "teacher", "student"),
        (lambda one, two: {"model_ema": one, "model": two}, "model_ema", "model"),
    ],
    ids=["MoCo-v3", "DINO", "timm"],
)
def test_which_chooses_among_the_networks_of_a_file(tmp_path: Path, writer: Any, which: str, other: str) -> None:
    first, second = prompted(seed=1), prompted(seed=2)
    path = save(writer(state_of(first), state_of(second)), tmp_path / "two.pth")
    default, named, twin = prompted(), prompted(), prompted()
    load_weights(default.trunk, path)
    load_weights(named.trunk, dict(path=path, which=which))
    load_weights(twin.trunk, dict(path=path, which=other))
    for model, source in ((default, first), (named, first), (twin, second)):
        assert all(torch.equal(ours, wanted) for ours, wanted in zip(features(model), features(source)))
    with pytest.raises(ValueError, match=rf"which='nobody'.*has networks: '{which}', '{other}'"):
        load_weights(prompted().trunk, dict(path=path, which="nobody"))


def test_a_config_takes_a_dict(tmp_path: Path) -> None:
    first, second = prompted(seed=1), prompted(seed=2)
    path = save(write.moco_v3(state_of(first), state_of(second)), tmp_path / "two.pth")
    weights = dict(path=str(path), which="momentum_encoder")
    model = PromptedViT(NAME, weights=weights, out_indices=(0, 1), norm_maps=True, timm_kwargs=TINY).eval()
    assert all(torch.equal(ours, wanted) for ours, wanted in zip(features(model), features(second)))


def test_a_distilled_deit_loads_with_both_of_its_tokens(tmp_path: Path) -> None:
    name = "deit_tiny_distilled_patch16_224"
    reference = prompted(name=name, **TINY)
    heads = write.head(32) | {"head_dist.weight": write.noise(10, 32), "head_dist.bias": write.noise(10)}
    assert_same_features(save({"model": state_of(reference) | heads}, tmp_path / "deit.pth"), reference, name, **TINY)


def test_a_siglip_tower_loads_without_its_pooling_head(tmp_path: Path) -> None:
    kwargs = dict(TINY, class_token=False)
    whole = timm.create_model(NAME, num_classes=0, global_pool="map", **kwargs)
    assert "attn_pool.latent" in whole.state_dict()
    reference = prompted(global_pool="map", **kwargs)
    state = dict(whole.state_dict()) | state_of(reference)
    assert_same_features(save(state, tmp_path / "siglip.pth"), reference, global_pool="map", **kwargs)
    arrays = write.jax(state | {"cls_token": torch.zeros(1, 1, 32)}, 4, big_vision=True)
    arrays = {name.replace("params/", "params/img/"): value for name, value in arrays.items() if name != "params/cls"}
    arrays |= {"params/img/MAPHead_0/probe": np.ones(3), "params/t": np.ones(1), "params/txt/head/bias": np.ones(1)}
    assert_same_features(save(arrays, tmp_path / "siglip.npz"), reference, global_pool="map", **kwargs)


def test_a_jax_file_may_have_any_hidden_width(tmp_path: Path) -> None:
    kwargs = dict(TINY, embed_dim=56, mlp_ratio=61.5 / 56)
    assert int(56 * (61 / 56)) == 60  # timm takes a ratio and rounds down
    reference = prompted(**kwargs)
    assert reference.trunk.blocks[0].mlp.fc1.out_features == 61
    assert_same_features(save(write.jax(state_of(reference), 4), tmp_path / "odd.npz"), reference, **kwargs)


def test_registers_are_turned_as_timms_own_filter_does(tmp_path: Path) -> None:
    source = prompted(**REGISTERS)
    official = write.dinov2(state_of(source))
    official["cls_token"] = official["cls_token"] + 0.123
    wanted = checkpoint_filter_fn(dict(official), source.trunk)
    load_weights(source.trunk, save(official, tmp_path / "reg4.pth"))
    assert all(torch.equal(source.trunk.state_dict()[name], value) for name, value in wanted.items())


@pytest.mark.parametrize("ending", [".pth", ".npz"])
@pytest.mark.parametrize(
    ("kwargs", "prefix"), [(TINY, 1), (dict(TINY, no_embed_class=True), 0)], ids=["class", "patches"]
)
def test_positions_of_another_grid_are_resampled_bicubically(
    tmp_path: Path, kwargs: dict[str, Any], prefix: int, ending: str
) -> None:
    source, target = prompted(**kwargs), prompted(**{**kwargs, "img_size": (48, 24)})
    content = state_of(source) if ending == ".pth" else write.jax(state_of(source), 4)
    checkpoint = load_weights(target.trunk, save(content, tmp_path / f"small{ending}"))
    assert "position embeddings resampled from 4x4 to 6x3 patches" in checkpoint.summary()
    old = state_of(source)["pos_embed"]
    grid = old[:, prefix:].reshape(1, 4, 4, 32).permute(0, 3, 1, 2)
    grid = F.interpolate(grid, size=(6, 3), mode="bicubic", antialias=True)
    wanted = torch.cat([old[:, :prefix], grid.flatten(2).transpose(1, 2)], dim=1)
    torch.testing.assert_close(target.trunk.pos_embed, wanted, rtol=0, atol=1e-6)


def test_another_patch_size_is_resampled_only_if_asked(tmp_path: Path) -> None:
    source, target = prompted(), prompted(**{**TINY, "patch_size": 4, "img_size": 16})
    path = save(state_of(source), tmp_path / "patch8.pth")
    with pytest.raises(ValueError, match=r"(?s)patches of 8x8 pixels.*patches of 4x4 pixels.*resample_patch=True"):
        load_weights(target.trunk, path)
    checkpoint = load_weights(target.trunk, dict(path=path, resample_patch=True))
    assert checkpoint.notes == ["patch embedding resampled from 8x8 to 4x4 pixels"]
    # FlexiViT's defining property: a kernel and a patch that are both enlarged keep their product.
    patch = torch.rand(1, 3, 4, 4)
    large = F.interpolate(patch, size=(8, 8), mode="bicubic", antialias=True)
    small = prompted(**{**TINY, "patch_size": 4, "img_size": 16})
    load_weights(small.trunk, save(state_of(target), tmp_path / "patch4.pth"))
    enlarged = prompted()
    load_weights(enlarged.trunk, dict(path=tmp_path / "patch4.pth", resample_patch=True))
    ours, wanted = enlarged.trunk.patch_embed(large), small.trunk.patch_embed(patch)
    torch.testing.assert_close(ours, wanted, rtol=1e-4, atol=1e-4)


def library_features(backbone: torch.nn.Module) -> Tensor:
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    backbone.train(False)  # mmseg's eval() returns nothing
    with torch.no_grad():
        return backbone(images)[-1]


def shaken(backbone: torch.nn.Module) -> State:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return dict(backbone.state_dict())


@pytest.mark.parametrize("patch_bias", [True, False])
def test_mmsegs_own_vit_gives_the_same_features_here(tmp_path: Path, patch_bias: bool) -> None:
    mmseg = pytest.importorskip("mmseg.models.backbones")
    backbone = mmseg.VisionTransformer(
        img_size=32,
        patch_size=8,
        embed_dims=32,
        num_layers=2,
        num_heads=4,
        patch_bias=patch_bias,
        final_norm=True,
        norm_cfg=dict(type="LN", eps=1e-6),
    )
    path = save(write.mmengine(shaken(backbone)), tmp_path / "mmseg.pth")
    model = PromptedViT(NAME, weights=str(path), norm_maps=True, timm_kwargs=TINY).eval()
    torch.testing.assert_close(features(model)[0], library_features(backbone), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("layer_scale", [0.0, 0.3])
def test_mmpretrains_own_vit_gives_the_same_features_here(tmp_path: Path, layer_scale: float) -> None:
    mmpretrain = pytest.importorskip("mmpretrain.models.backbones")
    backbone = mmpretrain.VisionTransformer(
        arch=dict(embed_dims=32, num_layers=2, num_heads=4, feedforward_channels=128),
        img_size=32,
        patch_size=8,
        out_type="featmap",
        layer_scale_init_value=layer_scale,
    )
    path = save(write.mmengine(shaken(backbone)), tmp_path / "mmpretrain.pth")
    kwargs = dict(TINY, init_values=layer_scale or None)
    model = PromptedViT(NAME, weights=str(path), norm_maps=True, timm_kwargs=kwargs).eval()
    torch.testing.assert_close(features(model)[0], library_features(backbone), rtol=1e-5, atol=1e-5)


def test_a_checkpoint_that_mmengine_saved_of_our_backbone_is_read(tmp_path: Path) -> None:
    pytest.importorskip("mmengine")
    from davpt_seg.models import PromptedViTBackbone

    source = PromptedViTBackbone(NAME, prompts=dict(num_prompts=4), timm_kwargs=TINY)
    write.randomise(source.trunk)
    path = save(write.mmengine(dict(source.state_dict())), tmp_path / "iter_9.pth")
    trunk = prompted(seed=5).trunk
    checkpoint = load_weights(trunk, path)
    assert checkpoint.format == "davpt_seg"
    assert all(torch.equal(value, source.trunk.state_dict()[name]) for name, value in trunk.state_dict().items())
    assert any(name.startswith("state_dict.backbone.prompts") for name in checkpoint.left_out["other modules"])


def test_timms_vit_is_what_the_writers_start_from() -> None:
    assert type(prompted().trunk) is VisionTransformer
