"""Tensors of several tasks side by side, against one task at a time."""

from __future__ import annotations

from typing import Optional

import pytest
import torch
import torch.nn.functional as F

from davpt_seg.core.projection import KeyValue
from davpt_seg.core.task_bank.per_image import keys_and_values, linear


def pair(number: int) -> KeyValue:
    return KeyValue(torch.randn(number, 4, 8), torch.randn(number, 4, 8))


def test_keys_that_all_images_share_stay_one_copy_and_equal_numbers_need_no_mask() -> None:
    own = pair(3)
    assert keys_and_values([own, own], apart=False) is own
    assert keys_and_values([None, None], apart=True) is None
    found = keys_and_values([own, pair(3)], apart=False)
    assert found is not None and found.mask is None and found.key.shape == (2, 3, 4, 8)


@pytest.mark.parametrize("apart", [False, True])
def test_a_mask_excludes_what_fills_up_smaller_numbers(apart: bool) -> None:
    pairs: list[Optional[KeyValue]] = [pair(1), None, pair(3)]
    found = keys_and_values(pairs, apart)
    assert found is not None and found.mask is not None
    assert found.mask[:, 0, 0].isfinite().tolist() == [[True, False, False], [apart] * 3, [True] * 3]
    assert not found.value[1].any() and not found.value[0, 1:].any()
    if apart:  # a plain softmax, which has no answer where all is masked
        query = torch.randn(3, 5, 4, 8)
        scores = torch.einsum("bqhd,bkhd->bhqk", query, found.key) / 8**0.5 + found.mask
        added = torch.einsum("bhqk,bkhd->bqhd", scores.softmax(-1), found.value)
        for row, own in enumerate(pairs):
            expected = torch.zeros(5, 4, 8)
            if own is not None:
                expected = F.scaled_dot_product_attention(
                    *(side.transpose(0, 1) for side in (query[row], own.key, own.value))
                ).transpose(0, 1)
            torch.testing.assert_close(added[row], expected)


@pytest.mark.parametrize("with_bias", [False, True])
def test_linear_layers_of_different_widths_are_one_product(with_bias: bool) -> None:
    entering = torch.randn(3, 5, 6, dtype=torch.float64)
    weights = [torch.randn(6, width, dtype=torch.float64) for width in (2, 4, 1)]
    biases = [torch.randn(width, dtype=torch.float64) for width in (2, 4, 1)] if with_bias else None
    found = linear(entering, weights, biases)
    for row, weight in enumerate(weights):
        bias = None if biases is None else biases[row]
        own = F.linear(entering[row], weight.T, bias)
        torch.testing.assert_close(found[row, :, : weight.shape[1]], own, rtol=0, atol=1e-12)
        assert not found[row, :, weight.shape[1] :].any()
    back = [torch.randn(weight.shape[1], 6, dtype=torch.float64) for weight in weights]
    for row, weight in enumerate(back):
        own = found[row, :, : weight.shape[0]] @ weight
        torch.testing.assert_close(linear(found, back)[row], own, rtol=0, atol=1e-12)
