"""What prompts add, of all blocks in one pass, is what the maps of each block show."""

from __future__ import annotations

import pytest
import torch

from davpt_seg.core import PromptedViT
from davpt_seg.visualization import prompt_attention, prompt_contribution
from davpt_seg.visualization.prompt_effect import prompt_effect

from ..core.tiny import tiny_vit

IMAGES = torch.randn(2, 3, 20, 40, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def with_prompts(num_prompts: object, **kwargs: object) -> PromptedViT:
    model = tiny_vit(prompts=dict(num_prompts=num_prompts, **kwargs)).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.prompts.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return model


def test_it_is_the_mean_share_of_attention_on_all_prompts() -> None:
    model = with_prompts([5, 3])
    expected = {block: float(prompt_attention(model, IMAGES, block).sum(1).mean()) for block in (0, 1)}
    assert prompt_effect(model, IMAGES) == pytest.approx(expected)
    assert all(0 < share < 1 for share in expected.values())


@pytest.mark.parametrize("start", ["offset", "gate"])
def test_of_zero_start_prompts_it_is_the_mean_relative_contribution(start: str) -> None:
    model = with_prompts([5, 3], start=start)
    patches = model.patches(model.grid(IMAGES))
    expected = {block: float(prompt_contribution(model, IMAGES, block)[:, patches].mean()) for block in (0, 1)}
    assert prompt_effect(model, IMAGES) == pytest.approx(expected)
    assert all(value > 0 for value in expected.values())


def test_blocks_without_prompts_have_none() -> None:
    assert prompt_effect(with_prompts([0, 3]), IMAGES).keys() == {1}
