"""What prompts, guidance and pictures read of rotated queries and keys, against what timm's own blocks compute."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from davpt_seg.core import PromptedViT
from davpt_seg.visualization import prompt_attention

from ..test_export import assert_exports_with_any_batch
from .families import family_vit
from .test_families import concatenated, draw, walked

ROTARY = ["eva02 apart", "dinov3", "sapiens2 with fewer heads of keys", "pe without class token", "rope mixed"]
SIZE = (20, 37)  # 3 x 5 patches

by_family = pytest.mark.parametrize("name", ROTARY)


def seen_by_timm(model: PromptedViT, images: Tensor, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Tensor, ...]]:
    """Queries, keys and values (B, heads, prefix + M + N, head_dim) of each block, as timm hands them to softmax."""
    found: list[tuple[Tensor, ...]] = []
    attention = F.scaled_dot_product_attention

    def record(*sides: Tensor, **arguments: Any) -> Tensor:
        found.append(sides)
        return attention(*sides, **arguments)

    with monkeypatch.context() as patch:
        patch.setattr(F, "scaled_dot_product_attention", record)
        concatenated(model, images)
    return found


@by_family
def test_shares_of_attention_are_of_rotated_queries_and_keys(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, images = family_vit(name, prompts=dict(num_prompts=[4, 3])).eval(), draw(SIZE)
    prefix = model.trunk.num_prefix_tokens
    for block, (query, key, _) in enumerate(seen_by_timm(model, images, monkeypatch)):
        count = model.prompts.counts[block]
        weights = (query @ key.transpose(2, 3) * query.shape[-1] ** -0.5).softmax(dim=-1)
        expected = weights[:, :, prefix + count :, prefix : prefix + count].mean(dim=1)  # (B, N, M)
        shares = prompt_attention(model, images, block).flatten(2).transpose(1, 2)
        torch.testing.assert_close(shares, expected, rtol=0, atol=1e-10)


@by_family
def test_guidance_reads_sides_before_the_rotation_and_attentions_own_loss_after_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    records, images = {}, draw(SIZE)
    for kind in ("proxy_anchor", "attention"):
        guidance = dict(num_classes=5, cls_weight=0.0, metric=dict(kind=kind, prompt_side="key", token_side="query"))
        guidance["mapping"] = dict(class_means="patch")
        torch.manual_seed(0)
        model = family_vit(name, prompts=dict(num_prompts=4), guidance=guidance).train()
        (records[kind],) = model(images).records
    prefix, normed = model.trunk.num_prefix_tokens, []
    hook = model.trunk.blocks[1].attn.q_norm.register_forward_hook(lambda *args: normed.append(args[-1]))
    query, key, _ = seen_by_timm(model, images, monkeypatch)[1]
    hook.remove()
    prompts = key[0, :, prefix : prefix + 4].transpose(0, 1).flatten(1)  # (M, D), of no place
    for kind, side in (("proxy_anchor", normed[0]), ("attention", query)):
        patches = side[:, :, prefix + 4 :].transpose(1, 2).flatten(2)  # (B, N, D)
        torch.testing.assert_close(records[kind].prompts, prompts, rtol=0, atol=1e-10)
        torch.testing.assert_close(records[kind].tokens, patches, rtol=0, atol=1e-10)
    assert (normed[0] - query).abs().max() > 1e-3


@pytest.mark.parametrize("carry", [0, 1])
@by_family
def test_prompts_that_stay_in_the_sequence_are_not_rotated(name: str, carry: int) -> None:
    model, images = (
        family_vit(name, prompts=dict(num_prompts=[4, 3, 2], carry=carry), timm_kwargs=three(name)),
        draw(SIZE),
    )
    trunk, first = model.trunk, model.trunk.num_prefix_tokens
    tokens, rope = trunk._pos_embed(trunk.patch_embed(images))
    sequence, stay = trunk.norm_pre(tokens), 0
    for i, block in enumerate(trunk.blocks):
        own = model.prompts(i)
        block.attn.num_prefix_tokens = first + len(own) + stay  # timm rotates none of them
        joined = own.expand(len(images), -1, -1)
        sequence = torch.cat([sequence[:, :first], joined, sequence[:, first:]], dim=1)
        sequence = block(sequence, rope=rope[i] if trunk.rope_mixed else rope)
        if i == carry:
            stay = len(own)
        else:
            sequence = torch.cat([sequence[:, :first], sequence[:, first + len(own) :]], dim=1)
    patches = sequence[:, first + stay :]
    expected = torch.cat([sequence[:, :first], patches, sequence[:, first : first + stay]], dim=1)
    torch.testing.assert_close(walked(model, images), expected, rtol=0, atol=1e-10)


def three(name: str) -> dict[str, Any]:
    return dict(depth=3, num_kv_heads=(4, 2, 2)) if "sapiens" in name else dict(depth=3)


@by_family
def test_zero_start_prompts_have_a_softmax_of_rotated_queries_and_keys_without_a_place(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, images = family_vit(name, prompts=dict(num_prompts=4, start="offset")).eval(), draw(SIZE)
    with torch.no_grad():
        model.prompts.values["0"].add_(1.0)
    _, _, attended = next(iter(model.walk(model.embed(images))))
    prefix = model.trunk.num_prefix_tokens
    query, key, value = seen_by_timm(model, images, monkeypatch)[0]  # with the prompts in the sequence
    with torch.no_grad():
        model.prompts.values["0"].sub_(1.0)
    _, _, before = seen_by_timm(model, images, monkeypatch)[0]
    theirs = slice(prefix, prefix + 4)
    kept = [*range(prefix), *range(prefix + 4, query.shape[2])]
    query = query[:, :, kept]
    own = F.scaled_dot_product_attention(query, key[:, :, kept], value[:, :, kept])
    added = F.scaled_dot_product_attention(query, key[:, :, theirs], value[:, :, theirs] - before[:, :, theirs])
    heads = (own + added).transpose(1, 2).flatten(2)
    block = model.trunk.blocks[0]
    torch.testing.assert_close(attended.output, block.attn.norm(heads), rtol=0, atol=1e-10)


def test_a_trunk_draws_no_random_positions_before_a_mode_is_set() -> None:
    model = family_vit("sapiens2 with fewer heads of keys")
    assert model.trunk.rope.aug_active and model.training
    assert torch.equal(walked(model, draw(SIZE)), walked(model, draw(SIZE)))


@by_family
def test_rotary_trunks_export_with_a_dynamic_batch(name: str) -> None:
    model = family_vit(name, prompts=dict(num_prompts=2, carry=0))
    assert_exports_with_any_batch(model)
    assert_exports_with_any_batch(model.fold())
