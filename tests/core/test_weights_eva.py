"""Releases of DINOv3, EVA-02 and Perception Encoder give the features of the timm model they were written from."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from timm.models.beit import checkpoint_filter_fn
from timm.models.eva import Eva

from davpt_seg.core.weights import load_weights
from davpt_seg.core.weights.names import State
from davpt_seg.errors import InputError

from . import checkpoint_writers as write
from . import eva_writers as eva
from .test_weights_formats import save, wrapped

TINY = dict(img_size=32, patch_size=8, embed_dim=32, depth=2, num_heads=2)
DINOV3, BIASED, GATED = "vit_small_patch16_dinov3", "vit_small_patch16_dinov3_qkvb", "vit_small_plus_patch16_dinov3"
EVA02, PACKED, EVA_CLIP = "eva02_base_patch14_224", "eva02_tiny_patch14_224", "eva02_base_patch16_clip_224"
CORE, SPATIAL = "vit_pe_core_tiny_patch16_384", "vit_pe_spatial_tiny_patch16_512"
SCALED = "vit_pe_spatial_gigantic_patch14_448"  # without class token, with layer scale


def tiny(name: str, seed: int = 0, **kwargs: Any) -> Eva:
    trunk = timm.create_model(name, num_classes=0, **{**TINY, **kwargs})
    trunk.reset_classifier(0, "")
    write.randomise(trunk, seed)
    return trunk.eval()


def twins(name: str) -> State:
    """Another model's tensors, which must not be taken."""
    return dict(tiny(name, seed=9).state_dict())


FILES: dict[str, tuple[str, str, str, Callable[[State], Any]]] = {
    # case: (format, ending, timm's model_name, writer)
    **{f"timm {name}": ("timm", ".safetensors", name, lambda s: s) for name in (DINOV3, BIASED, EVA02, CORE, SCALED)},
    "timm mixed": ("timm", ".safetensors", "vit_small_patch16_rope_mixed_ape_224", lambda s: s),
    "timm OpenCLIP tower": ("CLIP", ".safetensors", EVA_CLIP, lambda s: write.prefixed(s, "visual.trunk.")),
    "davpt_seg": ("davpt_seg", ".pth", BIASED, lambda s: write.mmengine(write.prefixed(s, "trunk."))),
    "DINOv3, zero biases": ("DINOv3", ".pth", DINOV3, eva.dinov3),
    "DINOv3, without biases": ("DINOv3", ".pth", GATED, lambda s: eva.dinov3(s, joined_bias=False)),
    "DINOv3 with periods": ("DINOv3", ".pth", DINOV3, lambda s: eva.with_periods(eva.dinov3(s), heads=2)),
    "DINOv3 with biases": ("DINOv3", ".pth", BIASED, eva.dinov3),
    "DINOv3 SwiGLU": ("DINOv3", ".pth", GATED, eva.dinov3),
    "DINOv3 teacher": ("DINOv3", ".pth", BIASED, eva.dinov3_teacher),
    "DINOv3 teacher and student": (
        "DINOv3",
        ".pth",
        DINOV3,
        lambda s: {**eva.dinov3_teacher(s), "student": write.prefixed(eva.dinov3(twins(DINOV3)), "backbone.")},
    ),
    "DINOv3 7B, norm of local crops": (
        "DINOv3",
        ".pth",
        GATED,
        lambda s: {**eva.dinov3(s), "local_cls_norm.weight": write.noise(32), "local_cls_norm.bias": write.noise(32)},
    ),
    "EUPE": ("DINOv3", ".pth", BIASED, lambda s: {**eva.dinov3(s), "projectors.a.weight": write.noise(2, 2)}),
    "Hugging Face DINOv3": ("transformers", ".safetensors", DINOV3, eva.transformers_dinov3),
    "Hugging Face DINOv3 with biases": ("transformers", ".safetensors", BIASED, eva.transformers_dinov3),
    "Hugging Face DINOv3 SwiGLU": ("transformers", ".safetensors", GATED, eva.transformers_dinov3),
    "Hugging Face DINOv3, transformers 5": (
        "transformers",
        ".bin",
        BIASED,
        lambda s: eva.transformers_dinov3(s, layer="model.layer"),
    ),
    "EVA-02 fine-tuned": ("EVA-02", ".pt", EVA02, lambda s: {"model": eva.eva02(s)}),
    "EVA-02 pre-training": ("EVA-02", ".pt", EVA02, lambda s: {"module": eva.eva02(s, masked=True)}),
    "EVA-02 packed": ("EVA-02", ".pt", PACKED, lambda s: eva.eva02(s, masked=True)),
    "EVA-02 EMA": ("EVA-02", ".pt", EVA02, lambda s: {"model": eva.eva02(twins(EVA02)), "model_ema": eva.eva02(s)}),
    "EVA-02 CLIP": ("EVA-02", ".pt", EVA_CLIP, eva.eva02_clip),
    "Perception Encoder core": ("Perception Encoder", ".pt", CORE, eva.perception_encoder_clip),
    "Perception Encoder core, image tower": (
        "Perception Encoder",
        ".pt",
        CORE,
        lambda s: eva.perception_encoder(s, pooled=True),
    ),
    "Perception Encoder spatial": ("Perception Encoder", ".pt", SPATIAL, eva.perception_encoder),
    "Perception Encoder spatial, layer scale": (
        "Perception Encoder",
        ".pt",
        SCALED,
        lambda s: {"state_dict": write.prefixed(eva.perception_encoder(s), "module.visual.")},
    ),
}


@pytest.mark.parametrize(("format_", "ending", "name", "writer"), FILES.values(), ids=FILES)
@torch.no_grad()
def test_a_release_gives_the_features_it_was_written_from_and_its_format_is_named(
    tmp_path: Path, format_: str, ending: str, name: str, writer: Callable[[State], Any]
) -> None:
    source, trunk = tiny(name), tiny(name, seed=1)
    checkpoint = load_weights(trunk, save(writer(dict(source.state_dict())), tmp_path / f"file{ending}"))
    assert checkpoint.format == format_
    images = torch.rand(2, 3, 32, 32)
    assert torch.equal(trunk.forward_features(images), source.forward_features(images))
    assert not torch.equal(tiny(name, seed=1).forward_features(images), source.forward_features(images))


LEFT_OUT = {
    "DINOv3, zero biases": ["4 query and value biases omitted", "mask of the key bias", "mask token (mask_token)"],
    "DINOv3 7B, norm of local crops": ["norm of local crops (local_cls_norm.weight, local_cls_norm.bias)"],
    "EUPE": ["distillation head (projectors.a.weight)"],
    "DINOv3 teacher": ["other modules (teacher.dino_head.mlp.0.weight)"],
    "DINOv3 teacher and student": ["network which='student'"],
    "EVA-02 pre-training": ["lm_head.weight", "mask token", "fixed rotary positions (rope.freqs_cos"],
    "EVA-02 CLIP": ["other modules (text.positional_embedding, logit_scale)"],
    "Perception Encoder core": ["text_projection", "pooling head (attn_pool.probe", "projection head (proj)"],
}


@pytest.mark.parametrize(("case", "expected"), LEFT_OUT.items(), ids=LEFT_OUT)
def test_what_a_release_holds_besides_is_named(tmp_path: Path, case: str, expected: list[str]) -> None:
    _, ending, name, writer = FILES[case]
    source = tiny(name)
    summary = load_weights(source, save(writer(dict(source.state_dict())), tmp_path / f"f{ending}")).summary()
    assert [words for words in expected if words not in summary] == []


REFUSED: dict[str, tuple[str, str, Callable[[State], Any], list[str]]] = {
    # case: (name of the file's model, name of the trunk, writer, parts of the message)
    "biases into a model without": (BIASED, DINOV3, eva.dinov3, ["unexpected (4)", "a model_name with qkvb"]),
    "no biases into a model with": (
        GATED.replace("plus_", ""),
        BIASED,
        lambda s: eva.dinov3(s, joined_bias=False),
        ["missing (4)", "blocks.0.attn.q_bias", "a model_name without qkvb"],
    ),
    "a key bias that nothing masks": (
        BIASED,
        BIASED,
        lambda s: {k: v for k, v in eva.dinov3(s).items() if "mask" not in k},
        ["unexpected (2): blocks.0.attn.k_bias", "key biases, which timm's model lacks"],
    ),
    "rotary periods of another base": (
        DINOV3,
        DINOV3,
        lambda s: eva.with_periods(eva.dinov3(s), heads=2, base=10_000.0),
        ["unexpected (1): rope.periods", "other rotary periods than the file"],
    ),
    "separate norms of class token and patches": (
        DINOV3,
        DINOV3,
        lambda s: {**eva.dinov3(s), "cls_norm.weight": write.noise(32)},
        ["unexpected (1): cls_norm.weight"],
    ),
    "Perception Encoder core into spatial": (
        CORE,
        SPATIAL,
        lambda s: eva.perception_encoder(s, pooled=True),
        ["format Perception Encoder", "unexpected (2): norm.weight", "its spatial have none"],
    ),
    "Perception Encoder spatial into core": (
        SPATIAL,
        CORE,
        eva.perception_encoder,
        ["missing (2): norm.weight", "its core models do"],
    ),
    "EVA-02 packed into separate": (PACKED, EVA02, eva.eva02, ["format EVA-02", "blocks.0.mlp.fc1_g.weight"]),
}


@pytest.mark.parametrize(("wrote", "name", "writer", "parts"), REFUSED.values(), ids=REFUSED)
def test_a_file_of_another_member_of_the_family_is_refused_by_name(
    tmp_path: Path, wrote: str, name: str, writer: Callable[[State], Any], parts: list[str]
) -> None:
    trunk = tiny(name)
    before = {key: value.clone() for key, value in trunk.state_dict().items()}
    with pytest.raises(ValueError, match="does not fit") as raised:
        load_weights(trunk, save(writer(dict(tiny(wrote, seed=1).state_dict())), tmp_path / "file.pth"))
    assert [part for part in parts if part not in str(raised.value)] == []
    assert all(torch.equal(value, before[key]) for key, value in trunk.state_dict().items())


def test_a_dinov3_file_does_not_fit_a_dinov2_trunk_and_the_reverse(tmp_path: Path) -> None:
    dinov2 = timm.create_model("vit_small_patch14_reg4_dinov2", num_classes=0, **TINY)
    write.randomise(dinov2)
    third = save(eva.dinov3(dict(tiny(DINOV3).state_dict())), tmp_path / "dinov3.pth")
    with pytest.raises(ValueError, match=r"(?s)format DINOv3\) does not fit.*missing .*pos_embed.*hint: .*dinov3"):
        load_weights(dinov2, third)
    second = save(write.dinov2(dict(dinov2.state_dict())), tmp_path / "dinov2.pth")
    with pytest.raises(ValueError, match=r"(?s)format DINOv2\) does not fit.*unexpected .*pos_embed"):
        load_weights(tiny(DINOV3), second)


def test_positions_of_an_eva_trunk_are_resampled_to_its_grid(tmp_path: Path) -> None:
    path = save(dict(tiny(EVA02).state_dict()), tmp_path / "file.pth")
    checkpoint = load_weights(tiny(EVA02, img_size=48), path)
    assert "position embeddings resampled from 4x4 to 6x6 patches" in checkpoint.summary()


def beit(**kwargs: Any) -> Any:
    trunk = timm.create_model("beit_base_patch16_224", num_classes=0, **{**TINY, **kwargs}).eval()
    write.randomise(trunk)
    return trunk


def test_releases_of_beit_keep_timms_names(tmp_path: Path) -> None:
    """A release also holds the index that its tables are read by, which timm computes."""
    source, trunk = beit(), timm.create_model("beit_base_patch16_224", num_classes=0, **TINY).eval()
    index = {f"blocks.{i}.attn.relative_position_index": source.blocks[i].attn.relative_position_index for i in (0, 1)}
    checkpoint = load_weights(trunk, save(wrapped("model")({**source.state_dict(), **index}), tmp_path / "beit.pth"))
    assert "index of relative positions (blocks.0.attn.relative_position_index" in checkpoint.summary()
    images = torch.rand(2, 3, 32, 32)
    assert torch.equal(trunk.forward_features(images), source.forward_features(images))


@pytest.mark.parametrize("shared", [False, True])
@torch.no_grad()
def test_tables_of_beit_are_resampled_as_timms_own_filter_does_it(tmp_path: Path, shared: bool) -> None:
    kwargs = dict(use_rel_pos_bias=not shared, use_shared_rel_pos_bias=shared)
    source, trunk = beit(**kwargs), beit(**kwargs, img_size=48)
    expected = checkpoint_filter_fn(dict(source.state_dict()), trunk)
    checkpoint = load_weights(trunk, save(dict(source.state_dict()), tmp_path / "beit.pth"))
    assert "biases by relative position resampled from 4x4 to 6x6 patches" in checkpoint.summary()
    for name, value in trunk.state_dict().items():
        torch.testing.assert_close(value, expected[name], rtol=0, atol=1e-5)


def test_tables_of_beit_for_no_square_grid_are_refused_by_name(tmp_path: Path) -> None:
    path = save(dict(beit(img_size=(32, 48)).state_dict()), tmp_path / "beit.pth")
    with pytest.raises(ValueError, match=r"of another shape \(2\): blocks.0.attn.relative_position_bias_table"):
        load_weights(beit(), path)


SHAPES = [(), (0,), (3,), (33,), (2, 5), (1, 2, 3), (4, 3, 2, 2), (1, 1, 1, 1, 1)]


ALONE = [case for case in FILES if not re.search("timm|davpt_seg|student|EMA", case)]  # no second network, no optimizer


@pytest.mark.parametrize("case", ALONE)
def test_a_tensor_of_another_shape_is_refused_by_name_or_left_out(tmp_path: Path, case: str) -> None:
    _, _, name, writer = FILES[case]
    trunk = tiny(name)
    content = writer(dict(trunk.state_dict()))
    path = tmp_path / "file.pth"
    accepted: list[str] = []
    for place, (owner, key) in enumerate(owners(content)):
        shape, kept = SHAPES[place % len(SHAPES)], owner[key]
        owner[key] = torch.ones(shape)
        with suppress(InputError):
            load_weights(trunk, save(content, path))
            accepted.append(key)
        owner[key] = kept
    needless = (
        "head|proj$|mask_token|bias_mask|attn_pool|freqs|student|local_cls|projectors|text|logit_scale|decode|data_"
    )
    assert [key for key in accepted if not re.search(needless, key)] == []
    load_weights(trunk, save(content, path))


def owners(content: dict[str, Any]) -> list[tuple[dict[str, Any], str]]:
    """Where the tensors of a checkpoint are, the first block's and what is outside of blocks."""
    found: list[tuple[dict[str, Any], str]] = []
    for key, value in content.items():
        if isinstance(value, dict):
            found += owners(value)
        elif isinstance(value, torch.Tensor) and "1." not in key:
            found.append((content, key))
    return found
