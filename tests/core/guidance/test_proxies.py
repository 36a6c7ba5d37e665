"""Guidance without prompts: learned proxies take their place."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from davpt_seg.core import PromptedViT, ProxyAnchor
from davpt_seg.visualization import prompt_similarity

from ..test_methods import images, learned
from ..tiny import tiny_vit

LORA = [dict(type="lora", rank=2)]


def guided(**guidance: Any) -> PromptedViT:
    torch.manual_seed(0)
    config = dict(dict(num_classes=3, num_prompts=3), **guidance)
    return tiny_vit(adapters=LORA, guidance=config).train()


def labels() -> Tensor:
    patches = torch.arange(30).view(2, 3, 5) % 3
    return patches.repeat_interleave(8, 1).repeat_interleave(8, 2)[..., :37]


def test_the_patch_loss_is_proxy_anchor_on_the_proxies() -> None:
    model = guided(cls_weight=0.0)
    losses = model.guidance(model(images()).records, labels())
    tokens = model.encode(images(), record=True).records[0].tokens.flatten(0, 1)
    same = labels()[:, 4::8, 4::8].flatten()[:, None] == torch.arange(3)
    expected = 0.05 * ProxyAnchor()(model.guidance.proxies["1"], tokens, same, ~same).total
    torch.testing.assert_close(losses["loss_metric_patch"], expected, rtol=1e-9, atol=0)


def test_each_guided_block_has_proxies_of_its_own_and_all_learn() -> None:
    model = guided(blocks=[0, 1])
    proxies = {name: p for name, p in learned(model).items() if "proxies" in name}
    assert {name: tuple(p.shape) for name, p in proxies.items()} == {
        "guidance.proxies.0": (3, 32),
        "guidance.proxies.1": (3, 32),
    }
    sum(model.guidance(model(images()).records, labels()).values()).backward()
    assert all(p.grad.abs().max() > 1e-9 for p in proxies.values())
    lora_b = [p for name, p in learned(model).items() if "lora_B" in name]
    assert all(p.grad.abs().max() > 1e-9 for p in lora_b[:1])  # the loss moves the tokens through LoRA


def test_proxies_change_no_prediction() -> None:
    model = guided()
    before = model(images()).maps[0]
    with torch.no_grad():
        model.guidance.proxies["1"].normal_()
    assert torch.equal(model(images()).maps[0], before)


def test_proxies_that_nothing_reads_do_not_learn() -> None:
    assert not [name for name in learned(guided(patch_weight=0.0, cls_weight=0.0)) if "proxies" in name]


def test_patches_are_compared_with_proxies() -> None:
    model = guided().eval()
    similarity = prompt_similarity(model, images())
    tokens = model.encode(images(), record=True).records[0].tokens
    expected = torch.cosine_similarity(model.guidance.proxies["1"][None, :, None], tokens[:, None], dim=-1)
    torch.testing.assert_close(similarity.flatten(2), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(guidance=dict(num_classes=3)), r"\{1: 0\}. Where none has any, guidance num_prompts makes"),
        (
            dict(guidance=dict(num_classes=3, num_prompts=3), prompts=dict(num_prompts=4)),
            r"num_prompts=3 is for guided blocks without prompts; they have .* \{1: 4\}",
        ),
        (
            dict(guidance=dict(num_classes=3, num_prompts=0)),
            r"guidance num_prompts must be an integer of at least 1, got 0",
        ),
        (
            dict(guidance=dict(num_classes=3, num_prompts=3, metric=dict(prompt_side="key"))),
            r"'key': a proxy represents itself",
        ),
    ],
)
def test_proxies_that_make_no_sense_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny_vit(**arguments)
