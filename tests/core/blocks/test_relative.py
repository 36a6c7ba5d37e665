"""BEiT's biases by relative position on images of another size, with prompts, adapters and training of the tables."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from timm.layers import resize_rel_pos_bias_table
from torch import Tensor

from davpt_seg.core import PromptedViT
from davpt_seg.core.blocks.beit import places_read, resampled
from davpt_seg.visualization import prompt_attention, prompt_contribution

from ..test_export import assert_exports_with_any_batch
from .families import family_vit
from .relative import of_size, relative_biases, with_places
from .test_families import concatenated, draw, embedded, walked

GRIDS = [((4, 4), (4, 5)), ((4, 4), (2, 9)), ((14, 14), (32, 24)), ((3, 5), (4, 4)), ((4, 4), (1, 2)), ((1, 1), (2, 2))]


@pytest.mark.parametrize(("old", "new"), GRIDS, ids=str)
def test_tables_are_resampled_as_timm_does_it(old: tuple[int, int], new: tuple[int, int]) -> None:
    rows, made = ((2 * height - 1) * (2 * width - 1) + 3 for height, width in (old, new))
    table = torch.randn(rows, 3, generator=torch.Generator().manual_seed(0))
    expected = resize_rel_pos_bias_table(table, new, (made, 3), old_window_size=old)
    torch.testing.assert_close(resampled(table, old, new), expected, rtol=0, atol=1e-5)


def test_images_of_another_size_give_what_timm_gives_when_it_is_set_to_that_size() -> None:
    model, images = family_vit("beit with shared biases").eval().float(), draw((24, 40)).float()
    ours = walked(model, images)
    model.trunk.set_input_size((24, 40))
    torch.testing.assert_close(model.trunk.norm(ours), model.trunk.forward_features(images), rtol=0, atol=1e-4)
    assert torch.equal(walked(model, images), walked(model, images))


def test_tables_can_be_trained_at_another_size_also_after_inference() -> None:
    places_read.cache_clear()
    model = family_vit("beit", tuned=["blocks.*.attn.relative_position_bias_table"])
    with torch.inference_mode():
        model.eval()(draw((24, 40)))
    model.train()(draw((24, 40))).maps[0].square().sum().backward()
    gradient = model.trunk.blocks[0].attn.relative_position_bias_table.grad
    assert gradient[:-3].abs().sum() > 0
    assert gradient[-3:].abs().min() > 0  # those of the class token


@pytest.mark.parametrize("carry", [0, 1])
def test_no_bias_is_of_prompts_that_stay_in_the_sequence(carry: int) -> None:
    prompts: dict[str, Any] = dict(num_prompts=[4, 3, 2], carry=carry)
    model, images = family_vit("beit", prompts=prompts, timm_kwargs=dict(depth=3)), draw((20, 37))
    trunk = of_size(model.trunk, images)
    (sequence, _), stay = embedded(trunk, images), 0
    for i, (block, bias) in enumerate(zip(trunk.blocks, relative_biases(trunk))):
        own = model.prompts(i)
        sequence = torch.cat([sequence[:, :1], own.expand(len(images), -1, -1), sequence[:, 1:]], dim=1)
        sequence = block(sequence, shared_rel_pos_bias=with_places(bias, 1, len(own) + stay))
        if i == carry:
            stay = len(own)
        else:
            sequence = torch.cat([sequence[:, :1], sequence[:, 1 + len(own) :]], dim=1)
    expected = torch.cat([sequence[:, :1], sequence[:, 1 + stay :], sequence[:, 1 : 1 + stay]], dim=1)
    torch.testing.assert_close(walked(model, images), expected, rtol=0, atol=1e-10)


def test_shares_of_attention_count_the_biases(monkeypatch: pytest.MonkeyPatch) -> None:
    model, images = family_vit("beit", prompts=dict(num_prompts=4)).eval(), draw((20, 37))
    seen: list[Tensor] = []
    attention = torch.nn.functional.scaled_dot_product_attention

    def record(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor, dropout_p: float) -> Tensor:
        scores = query @ key.transpose(2, 3) * query.shape[-1] ** -0.5 + attn_mask
        seen.append(scores.softmax(dim=-1))
        return attention(query, key, value, attn_mask=attn_mask, dropout_p=dropout_p)

    with monkeypatch.context() as patch:
        patch.setattr(torch.nn.functional, "scaled_dot_product_attention", record)
        concatenated(model, images)
    for block, weights in enumerate(seen):
        shares = prompt_attention(model, images, block).flatten(2).transpose(1, 2)
        torch.testing.assert_close(shares, weights[:, :, 5:, 1:5].mean(dim=1), rtol=0, atol=1e-10)


def test_it_exports_with_a_dynamic_batch_also_for_images_of_another_size() -> None:
    model = family_vit("beit", prompts=dict(num_prompts=2, carry=0), timm_kwargs=dict(img_size=24))
    assert_exports_with_any_batch(model)


def test_in_mixed_precision_outputs_stay_close() -> None:
    model: PromptedViT = family_vit("beit", prompts=dict(num_prompts=4)).float().eval()
    images = draw((24, 40)).float()
    (exact,) = model(images).maps
    with torch.autocast("cpu", dtype=torch.bfloat16):
        (mixed,) = model(images).maps
    assert torch.cosine_similarity(mixed.float().flatten(), exact.flatten(), dim=0) > 0.99


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_what_zero_start_prompts_add_is_measured_on_a_model_cast_to_half_precision(half: torch.dtype) -> None:
    model, images = family_vit("beit", prompts=dict(num_prompts=3, start="offset")).eval(), draw((32, 32))
    assert torch.equal(prompt_contribution(model.to(half), images.to(half), -1), torch.zeros(len(images), 1 + 16))
