"""Every family of timm's plain ViTs against timm's own forward pass, with prompts in the sequence and without."""

from __future__ import annotations

from typing import Any, Optional

import pytest
import torch
from timm.models.beit import Beit
from torch import Tensor

from davpt_seg.core import PromptedViT

from .families import FAMILIES, family_vit
from .relative import of_size, relative_biases, with_places

SIZES = [(32, 32), (24, 40), (20, 37)]  # square, not square, no multiple of the patch of 8

by_family = pytest.mark.parametrize("name", FAMILIES)
by_size = pytest.mark.parametrize("size", SIZES, ids=str)


def draw(size: tuple[int, int]) -> Tensor:
    return torch.randn(2, 3, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def walked(model: PromptedViT, images: Tensor) -> Tensor:
    *_, (tokens, _, _) = model.walk(model.embed(images))
    return tokens


def concatenated(model: PromptedViT, images: Tensor) -> Tensor:
    """VPT-Deep by timm's own blocks: a block's prompts are further prefix tokens of its sequence, dropped after it."""
    trunk, prefix = of_size(model.trunk, images), model.trunk.num_prefix_tokens
    tokens, rope = embedded(trunk, images)
    biases = relative_biases(trunk)
    for i, block in enumerate(trunk.blocks):
        prompts = (
            model.prompts(i) if model.prompts and model.prompts.counts[i] else tokens.new_zeros(0, model.embed_dim)
        )
        own: dict[str, Any] = {} if rope is None else dict(rope=rope[i] if trunk.rope_mixed else rope)
        if rope is not None:
            block.attn.num_prefix_tokens = prefix + len(prompts)
        if biases:
            own = dict(shared_rel_pos_bias=with_places(biases[i], prefix, len(prompts)))
        joined = prompts.expand(len(tokens), -1, -1)
        tokens = block(torch.cat([tokens[:, :prefix], joined, tokens[:, prefix:]], dim=1), **own)
        tokens = torch.cat([tokens[:, :prefix], tokens[:, prefix + len(prompts) :]], dim=1)
        if rope is not None:
            block.attn.num_prefix_tokens = prefix
    return tokens


def embedded(trunk: Any, images: Tensor) -> tuple[Tensor, Optional[Tensor]]:
    """Tokens as they enter timm's first block, and rotations."""
    patches = trunk.patch_embed(images)
    if isinstance(trunk, Beit):
        tokens = torch.cat([trunk.cls_token.expand(len(patches), -1, -1), patches], dim=1)
        return tokens if trunk.pos_embed is None else tokens + trunk.pos_embed, None
    tokens, rope = trunk._pos_embed(patches), None
    if isinstance(tokens, tuple):
        tokens, rope = tokens
    return trunk.norm_pre(tokens), rope


@by_size
@by_family
def test_without_prompts_it_is_timms_own_vit(name: str, size: tuple[int, int]) -> None:
    model = family_vit(name, out_indices=(0, 1), norm_maps=True).eval()
    images = draw(size)
    ours, tokens, trunk = model(images), walked(model, images), of_size(model.trunk, images)
    torch.testing.assert_close(trunk.norm(tokens), trunk.forward_features(images), rtol=0, atol=1e-10)
    for mine, timms in zip(ours.maps, trunk.forward_intermediates(images, norm=True, intermediates_only=True)):
        timms = trunk.fc_norm(timms.movedim(1, -1)).movedim(-1, 1)  # of ViTs whose final norm follows the pooling
        assert mine.shape == timms.shape
        if size != SIZES[-1]:
            torch.testing.assert_close(mine, timms, rtol=0, atol=1e-10)
    last = trunk.fc_norm(trunk.forward_features(images))
    torch.testing.assert_close(ours.mean_token, _mean(trunk, images), rtol=0, atol=1e-10)
    if trunk.cls_token is None:
        assert ours.class_token is None
    else:
        torch.testing.assert_close(ours.class_token, last[:, 0], rtol=0, atol=1e-10)


def _mean(trunk: Any, images: Tensor) -> Tensor:
    return trunk.fc_norm(trunk.forward_features(images)[:, trunk.num_prefix_tokens :].mean(dim=1))


@pytest.mark.parametrize("num_prompts", [0, 1, 20])
@by_size
@by_family
def test_deep_prompts_equal_concatenated_tokens(name: str, size: tuple[int, int], num_prompts: int) -> None:
    model = family_vit(name, prompts=dict(num_prompts=num_prompts)).train()
    images = draw(size).requires_grad_()
    learned = [images, *(model.prompts.parameters())]
    results = []
    for form in (walked, concatenated):
        tokens = form(model, images)
        weight = torch.linspace(-1, 1, tokens.numel(), dtype=tokens.dtype).view_as(tokens)
        results.append([tokens, *torch.autograd.grad((weight * tokens.square()).sum(), learned)])
    for ours, theirs in zip(*results):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)
