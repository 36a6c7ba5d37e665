"""Attention to prompts head by head, against the weights of the very softmax that a block computes, written out."""

from __future__ import annotations

from typing import Any, Optional

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from davpt_seg.core import PromptedViT
from davpt_seg.visualization import block_attention
from davpt_seg.visualization.block_attention import attention_on_prompts, block_with_prompts, prompt_counts

from ..core.blocks.families import FAMILIES, family_vit
from ..core.tiny import TRAITS, tiny_vit

EXTRA = dict(adapters=[dict(type="key_value_prompts", num_prompts=2)])
#: Arguments, and the numbers of prompts that the two blocks attend to.
METHODS: dict[str, tuple[dict[str, Any], tuple[int, int]]] = {
    "deep": (dict(prompts=dict(num_prompts=[5, 3])), (5, 3)),
    "deep with E2VPT's keys": (dict(prompts=dict(num_prompts=[5, 3]), **EXTRA), (5, 3)),
    "shallow": (dict(prompts=dict(num_prompts=4, kind="shallow")), (4, 4)),
    "gated": (dict(prompts=dict(num_prompts=4, kind="gated")), (4, 4)),
    "persistent, and others later": (dict(prompts=dict(num_prompts=[5, 3], carry=0)), (5, 3)),
    "persistent, and none later": (dict(prompts=dict(num_prompts=[5, 0], carry=0), **EXTRA), (5, 5)),
    "offset": (dict(prompts=dict(num_prompts=[5, 3], start="offset")), (5, 3)),
    "gate": (dict(prompts=dict(num_prompts=[5, 3], start="gate")), (5, 3)),
    "offset with E2VPT's keys": (dict(prompts=dict(num_prompts=[5, 3], start="offset"), **EXTRA), (5, 3)),
}
IMAGES = torch.randn(2, 3, 20, 40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def stirred(model: PromptedViT) -> PromptedViT:
    """Move what is learned away from its initial values."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in (*model.prompts.parameters(), *model.adapters.parameters()):
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model.eval()


@pytest.fixture
def softmaxes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Tensor, Tensor]]:
    """Weights (B, heads, queries, keys) and outputs of all attention calls, each by a loop over heads and queries."""
    calls: list[tuple[Tensor, Tensor]] = []
    fused = F.scaled_dot_product_attention

    def written_out(query: Tensor, key: Tensor, value: Tensor, attn_mask: Optional[Tensor] = None, **_: Any) -> Tensor:
        mask = query.new_zeros(1) if attn_mask is None else attn_mask
        mask = mask.expand(*query.shape[:3], key.shape[2])
        rows = [
            [
                torch.stack(
                    [torch.exp(key[b, h] @ q * q.shape[0] ** -0.5 + m) for q, m in zip(query[b, h], mask[b, h])]
                )
                for h in range(query.shape[1])
            ]
            for b in range(len(query))
        ]
        weights = torch.stack([torch.stack(heads) for heads in rows])
        weights = weights / weights.sum(-1, keepdim=True)
        calls.append((weights, weights @ value))
        return fused(query, key, value, attn_mask)

    monkeypatch.setattr(F, "scaled_dot_product_attention", written_out)
    return calls


def check(model: PromptedViT, block: int, softmaxes: list[tuple[Tensor, Tensor]]) -> None:
    """Compare one block's attention to prompts with its softmaxes."""
    embedded = model.embed(IMAGES)
    walk = enumerate(model.walk(embedded))
    if block:
        next(walk)
    softmaxes.clear()
    _, (_, _, attended) = next(walk)
    calls = list(softmaxes)
    found = attention_on_prompts(model, attended, block)
    own, count = attended.placed.query.shape[1], prompt_counts(model)[block]
    if model.starts_at_zero:
        (_, output), (weights, added) = calls
        expected = weights[..., :count]
        strength = added.transpose(1, 2).flatten(2).norm(dim=2) / output.transpose(1, 2).flatten(2).norm(dim=2)
        if not len(model.adapters):
            torch.testing.assert_close(found.shares.sum(3), torch.ones_like(found.shares[..., 0]))
    else:
        ((weights, _),) = calls
        joins = model.prompts.counts[block] > 0 and block != model.carry
        expected = weights[..., own : own + count] if joins else weights[..., own - count : own]
        strength = expected.sum(3).mean(1)
    torch.testing.assert_close(found.shares, expected)
    torch.testing.assert_close(found.strength, strength)


@pytest.mark.parametrize("block", [0, 1])
@pytest.mark.parametrize("method", METHODS)
def test_every_method_has_the_weights_of_its_softmax(
    method: str, block: int, softmaxes: list[tuple[Tensor, Tensor]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(block_attention, "QUERIES", 7)  # so that rows are computed in several parts
    arguments, counts = METHODS[method]
    model = stirred(tiny_vit(**arguments))
    assert prompt_counts(model) == counts
    check(model, block, softmaxes)


@pytest.mark.parametrize("trait", TRAITS)
def test_every_trait_of_a_vit_has_them(trait: str, softmaxes: list[tuple[Tensor, Tensor]]) -> None:
    check(stirred(tiny_vit(timm_kwargs=TRAITS[trait], prompts=dict(num_prompts=[5, 3]))), 1, softmaxes)


@pytest.mark.parametrize("start", ["joint", "offset"])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_of_vits_has_them(family: str, start: str, softmaxes: list[tuple[Tensor, Tensor]]) -> None:
    check(stirred(family_vit(family, prompts=dict(num_prompts=3, start=start))), 1, softmaxes)


@pytest.mark.parametrize("method", METHODS)
def test_a_walk_from_a_later_block_goes_the_same_way(method: str) -> None:
    model = stirred(tiny_vit(**METHODS[method][0]))
    embedded = model.embed(IMAGES)
    (entered, _, _), (left, _, _) = model.walk(embedded)
    ((again, _, _),) = model.walk(embedded._replace(tokens=entered), start=1)
    assert torch.equal(again, left)


@pytest.mark.parametrize("block", [-3, 0, 2])
def test_a_block_without_prompts_is_refused(block: int) -> None:
    model = tiny_vit(prompts=dict(num_prompts=[0, 3]))
    assert block_with_prompts(model, -1) == 1
    with pytest.raises(ValueError, match=r"has no prompts.*\(0, 3\)"):
        block_with_prompts(model, block)
    with pytest.raises(ValueError, match=r"has no prompts.*\(0, 0\)"):
        block_with_prompts(tiny_vit(), block)
