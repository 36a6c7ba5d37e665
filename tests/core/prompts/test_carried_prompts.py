"""Prompts that stay in the sequence (VPT-Shallow, carried ones), against timm's own blocks on longer sequences."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from davpt_seg.core import PromptedViT
from davpt_seg.visualization import prompt_attention

from ..tiny import TRAITS, tiny_vit

IMAGES = (2, 3, 24, 37)  # a patch of 8 does not divide the width
NUM_PATCHES = 3 * 5


def by_timm(model: PromptedViT, images: Tensor) -> list[Tensor]:
    """The tokens after each block, prompts concatenated to the sequence for real: once for good, else for one block."""
    assert model.prompts is not None
    tokens, after = model.embed(images).tokens, []
    for i, block in enumerate(model.trunk.blocks):
        prompts = model.prompts(i)
        if prompts is not None:
            tokens = torch.cat([tokens, prompts.expand(len(tokens), -1, -1)], dim=1)
        tokens = block(tokens)
        if prompts is not None and i != model.carry:
            tokens = tokens[:, : -len(prompts)]
        after.append(tokens)
    return after


CONFIGS: dict[str, dict[str, Any]] = {
    "shallow": dict(num_prompts=4, kind="shallow"),
    "carried from the first": dict(num_prompts=[4, 3, 2], carry=0),
    "carried from the second": dict(num_prompts=[4, 3, 2], carry=1),
    "carried from the last": dict(num_prompts=4, carry=-1),
}


@pytest.mark.parametrize("trait", TRAITS)
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_carried_prompts_are_ordinary_tokens(config: dict[str, Any], trait: str) -> None:
    torch.manual_seed(0)
    model = tiny_vit(prompts=config, timm_kwargs=dict(TRAITS[trait], depth=3), out_indices=(0, 1, 2)).train()
    images = torch.randn(*IMAGES, dtype=torch.float64)
    ours = [tokens for tokens, _, _ in model.walk(model.embed(images))]
    expected = by_timm(model, images)
    for mine, timms in zip(ours, expected):
        torch.testing.assert_close(mine, timms, rtol=0, atol=1e-10)

    def gradients(tokens: list[Tensor]) -> list[Tensor]:
        weights = torch.linspace(-1, 1, tokens[-1][:, :NUM_PATCHES].numel(), dtype=torch.float64)
        loss = sum((t[:, :NUM_PATCHES].flatten() * weights).sum() for t in tokens)
        assert isinstance(loss, Tensor)
        return list(torch.autograd.grad(loss, list(model.prompts.parameters()), allow_unused=True))

    for mine, timms in zip(gradients(ours), gradients(expected)):
        torch.testing.assert_close(mine, timms, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("trait", ["plain", "registers", "no_class_token"])
def test_maps_hold_patches_and_no_carried_prompt(trait: str) -> None:
    torch.manual_seed(0)
    config = dict(num_prompts=4, kind="shallow")
    model = tiny_vit(prompts=config, timm_kwargs=TRAITS[trait], out_indices=(0, 1)).eval()
    images = torch.randn(2, 3, 24, 40, dtype=torch.float64)
    first = model.trunk.num_prefix_tokens
    for mine, tokens in zip(model(images).maps, by_timm(model, images)):
        assert torch.equal(mine.flatten(2).transpose(1, 2), tokens[:, first : first + NUM_PATCHES])


def test_a_carried_prompt_brings_what_it_gathered_to_later_blocks() -> None:
    """The bridge of METHOD.md section 9: without carrying, a deep prompt's query changes nothing at all."""
    images = torch.randn(*IMAGES, dtype=torch.float64)

    def query_gradient(**config: Any) -> Tensor:
        torch.manual_seed(0)
        model = tiny_vit(prompts=dict(num_prompts=[4, 0], **config)).train()
        offset = torch.zeros(model.embed_dim, dtype=torch.float64, requires_grad=True)

        def move_query(module: Any, inputs: Any, qkv: Tensor) -> Tensor:
            is_prompts = qkv.dim() == 2  # deep prompts are projected by themselves
            where = torch.ones_like(qkv[..., :1]) if is_prompts else torch.zeros_like(qkv[..., :1])
            if not is_prompts and qkv.shape[1] > 1 + NUM_PATCHES:
                where[:, 1 + NUM_PATCHES :] = 1
            return qkv + where * torch.cat([offset, torch.zeros_like(offset).repeat(2)])

        model.trunk.blocks[0].attn.qkv.register_forward_hook(move_query)
        (gradient,) = torch.autograd.grad(model(images).maps[0].square().sum(), offset, allow_unused=False)
        return gradient

    assert query_gradient(carry=0).abs().max() > 1e-3
    assert query_gradient().abs().max() == 0


@pytest.mark.parametrize("side", ["query", "key", "value", "prompt"])
def test_a_guided_carried_block_hands_out_its_prompts_as_any_other(side: str) -> None:
    records = []
    for carry in (None, 0):
        torch.manual_seed(0)
        guidance = dict(num_classes=3, blocks=[0], metric=dict(prompt_side=side))
        model = tiny_vit(prompts=dict(num_prompts=4, carry=carry), guidance=guidance).train()
        records.append(model(torch.ones(*IMAGES, dtype=torch.float64)).records[0])
    assert records[0].prompts.shape == (4, 32)
    torch.testing.assert_close(records[0].prompts, records[1].prompts, rtol=0, atol=1e-10)
    # in its first block a carried prompt is to the tokens the same key and value as any other
    torch.testing.assert_close(records[0].tokens, records[1].tokens, rtol=0, atol=1e-10)
    torch.testing.assert_close(records[0].image_token, records[1].image_token, rtol=0, atol=1e-10)


def test_attention_to_a_carried_prompt_is_counted_once() -> None:
    shares = []
    for carry in (None, 0):
        torch.manual_seed(0)
        model = tiny_vit(prompts=dict(num_prompts=4, carry=carry)).eval()
        shares.append(prompt_attention(model, torch.ones(*IMAGES, dtype=torch.float64), block=0))
    torch.testing.assert_close(shares[0], shares[1], rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (dict(num_prompts=4, kind="shalow"), r"kind must be one of \('deep', 'shallow', 'gated'\), got 'shalow'"),
        (dict(num_prompts=[4, 4], kind="shallow"), r"shallow prompts must be one number >= 1, got \[4, 4\]"),
        (dict(num_prompts=0, kind="shallow"), r"one number >= 1, got 0"),
        (dict(num_prompts=4, kind="shallow", carry=1), r"shallow prompts are carried .* 0; carry=1 contradicts"),
        (dict(num_prompts=4, kind="gated", carry=1), r"gated prompts are carried .* 0; carry=1 contradicts"),
        (dict(num_prompts=[4, 4], kind="gated"), r"gated prompts must be one number >= 1, got \[4, 4\]"),
        (dict(num_prompts=[4, 0], carry=1), r"carry 1 must be a block with prompts; .* \(4, 0\)"),
        (dict(num_prompts=4, carry=2), r"carry 2 must be a block with prompts; the 2 blocks"),
        (dict(num_prompts=4, init="he"), r"init must be one of \('vpt', 'xavier', .*, got 'he'"),
    ],
)
def test_what_cannot_be_carried_is_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny_vit(prompts=config)
