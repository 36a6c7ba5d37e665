"""Persistent prompts with adapters, learned biases and several guided blocks, against plain, concatenated forms."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from davpt_seg.core import GuidedRecord, PromptedViT

from ..methods import bias
from ..test_adapters import CONFIGS, NONE, changes_of, written_out
from ..test_methods import images, learned, stir
from ..tiny import tiny_vit

GRID = (3, 5)
NO_PROMPTS = torch.empty(0, 32, dtype=torch.float64)
JOINING: dict[str, dict[str, Any]] = {
    **{name: dict(adapters=[dict(type=name, **config)]) for name, config in CONFIGS.items()},
    "bias": bias("key", "value"),
}


@pytest.mark.parametrize("carry", [0, 1])
@pytest.mark.parametrize("name", JOINING)
def test_to_what_joins_them_carried_prompts_are_tokens_as_any_other(name: str, carry: int) -> None:
    torch.manual_seed(0)
    prompts = dict(num_prompts=[4, 3, 2], carry=carry)
    model = stir(tiny_vit(prompts=prompts, timm_kwargs=dict(depth=3), **JOINING[name]))
    embedded = model.embed(images())
    sequence = embedded.tokens
    for i, (ours, _, _) in enumerate(model.walk(embedded)):
        own, pairs, offset = model.prompts(i), model.adapters.key_value(i), model.biases(i)
        change = changes_of(model, i) if offset is None else dict(qkv=lambda x, y, offset=offset: y + offset)
        if i == carry:
            sequence, own = torch.cat([sequence, own.expand(len(sequence), -1, -1)], dim=1), NO_PROMPTS
        sequence = written_out(model, sequence, i, change, own, NONE if pairs is None else pairs)
        torch.testing.assert_close(ours, sequence, rtol=0, atol=1e-10)


def recorded_by_timm(model: PromptedViT, pixels: Tensor) -> tuple[Tensor, list[GuidedRecord]]:
    """Walk timm's own blocks with all prompts in the sequence; the tokens at the end, and what each block shows of it.

    A block's own prompts stand at the end of its sequence, and are the same in every image, so that their mean is each.
    """
    guidance, records = model.guidance, []
    sequence, first = model.embed(pixels).tokens, model.trunk.num_prefix_tokens
    patches = slice(first, first + GRID[0] * GRID[1])
    for i, block in enumerate(model.trunk.blocks):
        own, seen = model.prompts(i), {}
        handles = [
            block.attn.qkv.register_forward_hook(lambda module, inputs, output, seen=seen: seen.update(qkv=output)),
            block.attn.proj.register_forward_pre_hook(lambda module, inputs, seen=seen: seen.update(heads=inputs[0])),
        ]
        entered = sequence
        sequence = block(torch.cat([sequence, own.expand(len(sequence), -1, -1)], dim=1))
        for handle in handles:
            handle.remove()
        sides = dict(zip(("query", "key", "value"), seen["qkv"].chunk(3, dim=-1)), attn_output=seen["heads"])
        of_tokens = {**sides, "block_input": entered}
        records.append(
            GuidedRecord(
                prompts=sides[guidance.metric.prompt_side][:, -len(own) :].mean(dim=0),
                tokens=of_tokens[guidance.metric.token_side][:, patches],
                image_token=of_tokens[guidance.metric.cls_side][:, 0],
                grid=GRID,
            )
        )
        if i != model.carry:
            sequence = sequence[:, : -len(own)]
    return sequence, records


@pytest.mark.parametrize("joining", [{}, JOINING["lora"], JOINING["ssf"]], ids=["alone", "lora", "ssf"])
@pytest.mark.parametrize(
    "sides", [("query", "attn_output", "attn_output"), ("key", "block_input", "query"), ("value",) * 3]
)
@pytest.mark.parametrize("carry", [0, 1, 2])
def test_losses_of_blocks_before_at_and_behind_the_carrying_one_equal_the_concatenated_form(
    carry: int, sides: tuple[str, str, str], joining: dict[str, Any]
) -> None:
    torch.manual_seed(0)
    guidance = dict(num_classes=6, blocks=[0, 1, 2], metric=dict(zip(("prompt_side", "token_side", "cls_side"), sides)))
    prompts = dict(num_prompts=4, carry=carry)
    model = stir(tiny_vit(prompts=prompts, guidance=guidance, timm_kwargs=dict(depth=3), **joining)).train()
    labels = (torch.arange(2 * 3 * 5).view(2, *GRID) % 6).repeat_interleave(8, 1).repeat_interleave(8, 2)[..., :37]
    *_, (ours, _, _) = model.walk(model.embed(images()))
    theirs, records = recorded_by_timm(model, images())
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)
    losses = [model.guidance(each, labels) for each in (model(images()).records, records)]
    weights = torch.linspace(-1, 1, ours[:, : 1 + 15].numel(), dtype=ours.dtype).view(2, 16, -1)
    found = [
        torch.autograd.grad(
            (model.trunk.norm(tokens[:, :16]) * weights).sum() + sum(each.values()), list(learned(model).values())
        )
        for tokens, each in zip((ours, theirs), losses)
    ]
    assert losses[0].keys() == {"loss_metric_patch", "loss_metric_cls"}
    for key, value in losses[0].items():
        torch.testing.assert_close(value, losses[1][key], rtol=1e-9, atol=1e-12)
    for key, one, two in zip(learned(model), *found):
        torch.testing.assert_close(one, two, rtol=1e-8, atol=1e-10, msg=lambda text, key=key: f"{key}: {text}")
