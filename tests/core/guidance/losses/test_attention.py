"""The metric on attention's scores against attention itself, patch by patch and head by head."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from davpt_seg.errors import InputError

from ...tiny import tiny_vit
from .totals import attention, proxy_nca


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_the_loss_is_what_fused_attention_gives_to_the_prompts_of_a_class(scale: float) -> None:
    torch.manual_seed(0)
    heads, queries, keys = 3, torch.randn(20, 12, dtype=torch.float64), torch.randn(5, 12, dtype=torch.float64)
    positive = torch.rand(20, 5) < 0.4
    positive[0], positive[1] = False, True
    split = [side.unflatten(-1, (heads, 4)).transpose(0, 1) for side in (queries, keys)]
    # values that are one-hot per prompt make attention's output its weights
    weights = scaled_dot_product_attention(*split, torch.eye(5).double().expand(heads, -1, -1), scale=scale / 2)
    terms = [
        -math.log(weights[head, token][positive[token]].sum())
        for head in range(heads)
        for token in range(20)
        if positive[token].any()
    ]
    found = attention(keys, queries, positive, scale=scale, heads=heads)
    assert found.item() == pytest.approx(sum(terms) / len(terms), rel=1e-12)


def test_of_unit_vectors_in_one_head_it_is_proxy_nca() -> None:
    torch.manual_seed(0)
    tokens, proxies = (torch.nn.functional.normalize(torch.randn(n, 16).double(), dim=-1) for n in (30, 6))
    positive = torch.rand(30, 6) < 0.3
    negative = ~positive & (torch.rand(30, 6) < 0.7)
    # |a - b|^2 = 2 - 2 ab, and a softmax feels no constant
    ours = attention(proxies, tokens, positive, negative, scale=8.0)
    torch.testing.assert_close(ours, proxy_nca(proxies, tokens, positive, negative, scale=8.0 / 4 / 2))


def test_under_autocast_it_is_computed_in_float32_and_no_pair_gives_zero_with_gradients() -> None:
    torch.manual_seed(0)
    tokens = torch.randn(8, 8, dtype=torch.bfloat16, requires_grad=True)
    keys = torch.randn(4, 8, dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        found = attention(keys, tokens, torch.ones(8, 4, dtype=torch.bool) & (torch.arange(4) < 2), heads=2)
        none = attention(keys, tokens, torch.zeros(8, 4, dtype=torch.bool), heads=2)
    assert found.dtype == torch.float32 and found > 0
    none.backward()
    assert none == 0 and tokens.grad is not None and not tokens.grad.any()


SIDES = dict(kind="attention", prompt_side="key", token_side="query")


def test_a_model_takes_the_scores_that_its_guided_block_reads() -> None:
    torch.manual_seed(0)
    model = tiny_vit(prompts=dict(num_prompts=3), guidance=dict(num_classes=3, cls_weight=0.0, metric=SIDES)).train()
    images, labels = torch.randn(2, 3, 32, 32, dtype=torch.float64), torch.randint(3, (2, 32, 32))
    record = model(images).records[0]
    block = model.trunk.blocks[-1]
    prompts = block.attn.qkv(block.norm1(model.prompts(model.depth - 1))).unflatten(-1, (3, block.attn.num_heads, -1))
    assert record.prompts is not None
    torch.testing.assert_close(record.prompts.unflatten(-1, (block.attn.num_heads, -1)), prompts[:, 1])
    targets = model.guidance.targets([record], labels)
    positive, negative = model.guidance.patch_pairs(targets.patches)
    expected = attention(record.prompts, record.tokens.flatten(0, 1), positive, negative, heads=block.attn.num_heads)
    torch.testing.assert_close(model.guidance.patch_loss(record, targets.patches).total, expected)


def test_the_class_token_is_guided_by_its_scores_too() -> None:
    torch.manual_seed(0)
    guidance = dict(num_classes=3, cls_weight=0.5, metric=dict(SIDES, cls_side="query", cls_proxies="prompt"))
    model = tiny_vit(prompts=dict(num_prompts=3), guidance=guidance).train()
    record = model(torch.randn(2, 3, 32, 32, dtype=torch.float64)).records[0]
    present = torch.tensor([[True, False, True], [False, True, False]])
    assert record.prompts is not None and record.image_token is not None
    expected = attention(record.prompts, record.image_token, present, heads=model.trunk.blocks[-1].attn.num_heads)
    torch.testing.assert_close(model.guidance.class_token_loss(record, present).total, expected)


OTHERS = [(0.0, dict(prompt_side="query")), (0.0, dict(token_side="attn_output")), (0.05, dict(cls_side="query"))]


@pytest.mark.parametrize(("cls_weight", "other"), OTHERS)
def test_other_sides_than_those_of_attention_are_refused(cls_weight: float, other: dict[str, object]) -> None:
    with pytest.raises(InputError, match="set prompt_side='key', token_side='query', and either cls_weight=0 or"):
        guidance = dict(num_classes=3, cls_weight=cls_weight, metric={**SIDES, **other})
        tiny_vit(prompts=dict(num_prompts=3), guidance=guidance)


def test_heads_that_do_not_divide_the_width_are_refused() -> None:
    with pytest.raises(InputError, match="5 heads do not divide a width of 12"):
        attention(torch.randn(2, 12), torch.randn(3, 12), torch.ones(3, 2, dtype=torch.bool), heads=5)
