"""Attention to prompts, against a slow softmax over all keys; likeness, against the metric loss."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from davpt_seg.core import PromptedViT
from davpt_seg.core.guidance.losses import ProxyAnchor
from davpt_seg.visualization import (
    class_token_prompt_attention,
    prompt_attention,
    prompt_contribution,
    prompt_similarity,
)

from ..core.tiny import TRAITS, tiny_vit


def written_out(model: PromptedViT, images: Tensor, block: int) -> Tensor:
    """The whole attention matrix of a block, token by token and head by head, (B, prefix + N, keys)."""
    tokens = model.embed(images).tokens
    for i, timm_block in enumerate(model.trunk.blocks):
        prompts = model.prompts(i)
        stack = torch.cat([tokens, prompts.expand(len(tokens), -1, -1)], dim=1)
        if i == block:
            break
        tokens = timm_block(stack)[:, : tokens.shape[1]]
    attn, count = timm_block.attn, stack.shape[1]
    qkv = attn.qkv(timm_block.norm1(stack)).view(len(images), count, 3, attn.num_heads, attn.head_dim)
    query, key = attn.q_norm(qkv[:, :, 0]), attn.k_norm(qkv[:, :, 1])
    rows = []
    for q in range(tokens.shape[1]):
        heads = [(key[:, :, h] @ query[:, q, h, :, None])[..., 0] for h in range(attn.num_heads)]
        rows.append(torch.stack([(s * attn.head_dim**-0.5).softmax(-1) for s in heads]).mean(0))
    return torch.stack(rows, dim=1)


@pytest.mark.parametrize("trait", TRAITS)
@pytest.mark.parametrize("block", [0, 1])
def test_shares_are_the_last_columns_of_a_softmax_over_all_keys(trait: str, block: int) -> None:
    model = tiny_vit(timm_kwargs=TRAITS[trait], prompts=dict(num_prompts=[5, 3])).eval()
    images = torch.randn(2, 3, 20, 40, dtype=torch.float64)  # 20 is padded to 3 patches of 8
    shares = prompt_attention(model, images, block)
    all_rows = written_out(model, images, block)
    whole = all_rows[:, model.trunk.num_prefix_tokens :]
    count = model.prompts.counts[block]
    assert shares.shape == (2, count, 3, 5)
    torch.testing.assert_close(whole.sum(-1), torch.ones_like(whole[..., 0]))
    torch.testing.assert_close(shares.flatten(2).transpose(1, 2), whole[..., -count:])
    to_tokens = whole[..., :-count].sum(-1)
    torch.testing.assert_close(shares.sum(1).flatten(1), 1 - to_tokens)
    if model.trunk.has_class_token:
        torch.testing.assert_close(class_token_prompt_attention(model, images, block), all_rows[:, 0, -count:])
    else:
        with pytest.raises(ValueError, match="no class token"):
            class_token_prompt_attention(model, images, block)


def test_shares_are_float32_without_gradients_under_autocast() -> None:
    model = tiny_vit(prompts=dict(num_prompts=4)).float().eval()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        shares = prompt_attention(model, torch.randn(1, 3, 32, 32), -1)
    assert shares.dtype == torch.float32
    assert not shares.requires_grad


@pytest.mark.parametrize("block", [0, 2, -3])
def test_a_block_without_prompts_is_refused(block: int) -> None:
    model = tiny_vit(prompts=dict(num_prompts=[0, 3])).eval()
    with pytest.raises(ValueError, match=r"has no prompts.*\(0, 3\)"):
        prompt_attention(model, torch.randn(1, 3, 32, 32, dtype=torch.float64), block)


@pytest.mark.parametrize("extra", [0, 2])
@pytest.mark.parametrize("start", ["offset", "gate"])
def test_zero_start_prompts_take_no_share_and_add_nothing_at_first(start: str, extra: int) -> None:
    adapters = [dict(type="key_value_prompts", num_prompts=extra)] if extra else []
    model = tiny_vit(prompts=dict(num_prompts=[2, 3], start=start), adapters=adapters).eval()
    images = torch.randn(2, 3, 20, 40, dtype=torch.float64)
    with pytest.raises(ValueError, match=f"start={start!r} have a separate softmax"):
        prompt_attention(model, images, 0)
    assert torch.equal(prompt_contribution(model, images, -1), torch.zeros(2, 1 + 15, dtype=torch.float64))
    for parameter in (*model.prompts.parameters(), *model.adapters.parameters()):
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    own, both = (
        next(attended for _, _, attended in model.walk(model.embed(images), prompted)) for prompted in (False, True)
    )
    expected = (both.output - own.output).norm(dim=2) / own.output.norm(dim=2)
    torch.testing.assert_close(prompt_contribution(model, images, 0), expected)
    with pytest.raises(ValueError, match="see prompt_attention"):
        prompt_contribution(tiny_vit(prompts=dict(num_prompts=2)), images, 0)


def test_similarity_is_what_the_metric_loss_trains() -> None:
    guidance = dict(num_classes=3, blocks=[1])
    model = tiny_vit(prompts=dict(num_prompts=[2, 3]), guidance=guidance).eval()
    images = torch.randn(2, 3, 20, 40, dtype=torch.float64)
    similarity = prompt_similarity(model, images)
    assert similarity.shape == (2, 3, 3, 5)
    record = model.encode(images, record=True).records[-1]
    for image, prompt, patch in ((0, 0, 0), (1, 2, 14)):
        proxies, tokens = record.prompts[prompt, None], record.tokens[image, patch, None]
        loss = ProxyAnchor(scale=1.0, margin=0.0)(proxies, tokens, torch.tensor([[True]])).total
        cosine = similarity[image, prompt].flatten()[patch]
        torch.testing.assert_close(loss, torch.nn.functional.softplus(-cosine))


def test_similarity_without_guidance_is_refused() -> None:
    model = tiny_vit(prompts=dict(num_prompts=3)).eval()
    with pytest.raises(ValueError, match="no guidance"):
        prompt_similarity(model, torch.randn(1, 3, 32, 32, dtype=torch.float64))
