"""Proxy-Anchor against pytorch-metric-learning, and by hand."""

from __future__ import annotations

import math
from typing import Optional

import pytest
import torch
from pytorch_metric_learning.losses import ProxyAnchorLoss
from torch import Tensor

from .totals import proxy_anchor


def reference(
    proxies: Tensor, tokens: Tensor, labels: Tensor, scale: float, margin: float
) -> tuple[Tensor, Tensor, Tensor]:
    loss = ProxyAnchorLoss(len(proxies), proxies.shape[1], margin=margin, alpha=scale).double()
    loss.proxies.data.copy_(proxies)
    tokens = tokens.detach().clone().requires_grad_()
    value = loss(tokens, labels)
    value.backward()
    return value.detach(), loss.proxies.grad, tokens.grad


@pytest.mark.parametrize("present", [[0, 1, 2, 3, 4], [0, 2], [3]], ids=["all", "absent-classes", "single-class"])
@pytest.mark.parametrize(("scale", "margin"), [(32.0, 0.1), (8.0, 0.0), (1.0, 0.5)])
def test_values_and_gradients_equal_pytorch_metric_learning(present: list[int], scale: float, margin: float) -> None:
    torch.manual_seed(0)
    proxies = torch.randn(5, 16, dtype=torch.float64, requires_grad=True)
    tokens = torch.randn(40, 16, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor(present)[torch.randint(len(present), (40,))]
    value = proxy_anchor(proxies, tokens, labels[:, None] == torch.arange(5), scale=scale, margin=margin)
    value.backward()
    expected = reference(proxies.detach(), tokens, labels, scale, margin)
    for ours, theirs in zip((value.detach(), proxies.grad, tokens.grad), expected):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


def slow(
    proxies: Tensor, tokens: Tensor, labels: list[Optional[int]], s: float, divisor: str, scale: float, margin: float
) -> float:
    """Eq. 4 in loops; label None is void."""
    pull = push = 0.0
    pulling = 0
    for k, proxy in enumerate(proxies):
        positive, negative = 0.0, 0.0
        for token, label in zip(tokens, labels):
            if label is None:
                continue
            similarity = s * float(torch.cosine_similarity(proxy, token, dim=0))
            if label == k:
                positive += math.exp(-scale * (similarity - margin))
            else:
                negative += math.exp(scale * (similarity + margin))
        pulling += k in labels
        pull += math.log(1 + positive)
        push += math.log(1 + negative)
    return pull / (max(pulling, 1) if divisor == "positive" else len(proxies)) + push / len(proxies)


@pytest.mark.parametrize("divisor", ["positive", "all"])
@pytest.mark.parametrize("prompt_scale", [1.0, 5.0])
@pytest.mark.parametrize("labels", [[0, 1, 2, 0], [0, 0, None, 1], [2, 2, 2, 2], [None, None, None, 1]])
def test_void_tokens_scale_and_divisor_follow_equation_4(
    labels: list[Optional[int]], prompt_scale: float, divisor: str
) -> None:
    torch.manual_seed(1)
    proxies, tokens = torch.randn(3, 8, dtype=torch.float64), torch.randn(4, 8, dtype=torch.float64)
    known = torch.tensor([label is not None for label in labels])[:, None]
    same = torch.tensor([-1 if label is None else label for label in labels])[:, None] == torch.arange(3)
    value = proxy_anchor(
        proxies, tokens, same, known & ~same, scale=4.0, margin=0.1, prompt_scale=prompt_scale, divisor=divisor
    )
    assert float(value) == pytest.approx(slow(proxies, tokens, labels, prompt_scale, divisor, 4.0, 0.1), rel=1e-9)


def test_all_void_gives_zero_loss_and_zero_gradients() -> None:
    proxies, tokens = torch.randn(3, 8, requires_grad=True), torch.randn(5, 8, requires_grad=True)
    nothing = torch.zeros(5, 3, dtype=torch.bool)
    value = proxy_anchor(proxies, tokens, nothing, nothing)
    value.backward()
    assert value.item() == 0
    assert proxies.grad.abs().max() == 0 and tokens.grad.abs().max() == 0


def test_extreme_scores_stay_finite_and_autocast_does_not_narrow_them() -> None:
    torch.manual_seed(0)
    proxies, tokens = torch.randn(6, 16), torch.randn(50, 16)
    same = torch.randint(6, (50, 1)) == torch.arange(6)
    plain = proxy_anchor(proxies, tokens, same, prompt_scale=60.0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = proxy_anchor(proxies, tokens, same, prompt_scale=60.0)
    assert torch.isfinite(plain) and torch.equal(plain, mixed)


def test_an_unknown_divisor_is_refused() -> None:
    with pytest.raises(ValueError, match="divisor must be one of"):
        proxy_anchor(torch.randn(2, 4), torch.randn(3, 4), torch.ones(3, 2, dtype=torch.bool), divisor="some")
