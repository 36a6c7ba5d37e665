"""Proxy-NCA against pytorch-metric-learning, and token by token."""

from __future__ import annotations

import math

import pytest
import torch
from pytorch_metric_learning.losses import ProxyNCALoss
from torch import Tensor

from .totals import proxy_nca


@pytest.mark.parametrize("proxy_labels", [[0, 1, 2, 3, 4], [0, 1, 2, 0, 1]], ids=["one-each", "two-of-some"])
@pytest.mark.parametrize("present", [[0, 1, 2], [1]], ids=["all", "single-class"])
@pytest.mark.parametrize("scale", [1.0, 9.0])
def test_values_and_gradients_equal_pytorch_metric_learning(
    proxy_labels: list[int], present: list[int], scale: float
) -> None:
    torch.manual_seed(0)
    proxies = torch.randn(5, 16, dtype=torch.float64, requires_grad=True)
    tokens = torch.randn(40, 16, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor(present)[torch.randint(len(present), (40,))]
    value = proxy_nca(proxies, tokens, labels[:, None] == torch.tensor(proxy_labels), scale=scale)
    ours = (value, *torch.autograd.grad(value, (proxies, tokens)))
    loss = ProxyNCALoss(5, 16, softmax_scale=scale).double()
    loss.proxies.data.copy_(proxies.detach())
    loss.proxy_labels = torch.tensor(proxy_labels)
    expected = loss(tokens, labels)
    for mine, theirs in zip(ours, (expected, *torch.autograd.grad(expected, (loss.proxies, tokens)))):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-12)


def slow(proxies: Tensor, tokens: Tensor, positive: Tensor, negative: Tensor, scale: float) -> float:
    """The mean over tokens of minus the log of their own proxies' share."""
    terms = []
    for t, token in enumerate(tokens):
        own = other = 0.0
        for p, proxy in enumerate(proxies):
            closeness = math.exp(-scale * float((token / token.norm() - proxy / proxy.norm()).square().sum()))
            own += closeness * bool(positive[t, p])
            other += closeness * bool(negative[t, p])
        if own:
            terms.append(-math.log(own / (own + other)))
    return sum(terms) / max(len(terms), 1)


def test_void_tokens_and_tokens_without_a_proxy_of_their_own_count_nowhere() -> None:
    torch.manual_seed(1)
    proxies = torch.randn(6, 8, dtype=torch.float64, requires_grad=True)
    tokens = torch.randn(30, 8, dtype=torch.float64, requires_grad=True)
    positive, negative = (torch.rand(30, 6) < 0.3 for _ in range(2))
    negative &= ~positive
    positive[:3], negative[1] = False, False  # the first has negatives alone, the second nothing
    value = proxy_nca(proxies, tokens, positive, negative, scale=3.0)
    expected = slow(proxies.detach(), tokens.detach(), positive, negative, scale=3.0)
    assert value.item() == pytest.approx(expected, rel=1e-9)
    value.backward()
    assert not tokens.grad[:3].any() and tokens.grad[3:].any(dim=1).sum() > 10
