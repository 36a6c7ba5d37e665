"""Deep prompts as keys and values only, against prompts that really stand in the sequence."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from davpt_seg.core import PromptedViT

from .tiny import TRAITS, tiny_vit


def concatenated(model: PromptedViT, images: Tensor) -> Tensor:
    """VPT-Deep as its paper writes it (Eq. 4-5): prompts join the sequence of each block and are dropped after it.

    timm's own blocks run unchanged; learned bias offsets are put into the qkv bias for the length of the call.
    """
    tokens = model.embed(images).tokens
    for i, block in enumerate(model.trunk.blocks):
        prompts = model.prompts(i) if model.prompts else None
        count = 0 if prompts is None else len(prompts)
        if prompts is not None:
            tokens = torch.cat([tokens, prompts.expand(len(tokens), -1, -1)], dim=1)
        offset = model.biases(i)
        if offset is not None:
            call = lambda x, b=block, o=offset: torch.func.functional_call(  # noqa: E731
                b, {"attn.qkv.bias": b.attn.qkv.bias + o}, x
            )
        else:
            call = block
        tokens = call(tokens)[:, : tokens.shape[1] - count]
    return tokens


def walked(model: PromptedViT, images: Tensor) -> Tensor:
    *_, (tokens, _, _) = model.walk(model.embed(images))
    return tokens


def assert_same_outputs_and_gradients(model: PromptedViT, images: Tensor) -> None:
    parameters = [p for p in model.parameters() if p.requires_grad]
    results = []
    for form in (walked, concatenated):
        torch.manual_seed(1)  # the same prompt dropout in both
        tokens = form(model, images)
        weight = torch.linspace(-1, 1, tokens.numel(), dtype=tokens.dtype).view_as(tokens)
        results.append([tokens, *torch.autograd.grad((weight * tokens.square()).sum(), [images, *parameters])])
    for ours, theirs in zip(*results):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("num_prompts", [0, 1, 20, 100])
@pytest.mark.parametrize("trait", TRAITS)
def test_deep_prompts_equal_concatenated_tokens(trait: str, num_prompts: int, dropout: float) -> None:
    prompts = dict(num_prompts=num_prompts, dropout=dropout)
    model = tiny_vit(timm_kwargs=TRAITS[trait], prompts=prompts).train()
    assert_same_outputs_and_gradients(model, torch.randn(2, 3, 24, 40, dtype=torch.float64, requires_grad=True))


@pytest.mark.parametrize("norm", ["l2", "layer"])
def test_normalised_prompts_equal_concatenated_tokens(norm: str) -> None:
    model = tiny_vit(prompts=dict(num_prompts=[3, 5], norm=norm)).train()
    assert_same_outputs_and_gradients(model, torch.randn(2, 3, 32, 32, dtype=torch.float64, requires_grad=True))


@pytest.mark.parametrize("trait", TRAITS)
def test_bias_offsets_equal_another_qkv_bias(trait: str) -> None:
    names = [f"blocks.*.attn.{p}_bias" for p in ("query", "key", "value")]
    model = tiny_vit(timm_kwargs=TRAITS[trait], prompts=dict(num_prompts=4), tuned=names).train()
    with torch.no_grad():
        for offset in model.biases.parameters():
            offset.normal_()
    assert_same_outputs_and_gradients(model, torch.randn(2, 3, 32, 32, dtype=torch.float64, requires_grad=True))


def test_a_key_bias_has_zero_gradient_without_qk_norm() -> None:
    model = tiny_vit(prompts=dict(num_prompts=4), tuned=["blocks.*.attn.key_bias"])
    walked(model, torch.randn(2, 3, 32, 32, dtype=torch.float64)).square().sum().backward()
    assert max(p.grad.abs().max() for p in model.biases.parameters()) < 1e-10
    assert max(p.grad.abs().max() for p in model.prompts.parameters()) > 1e-3


@pytest.mark.parametrize("trait", TRAITS)
def test_outputs_without_gradients_are_bit_for_bit_those_with_them(trait: str) -> None:
    model = tiny_vit(timm_kwargs=TRAITS[trait], prompts=dict(num_prompts=4)).float().eval()
    images = torch.randn(2, 3, 24, 40)
    with torch.no_grad():
        found = walked(model, images)
    assert torch.equal(found, walked(model, images))
