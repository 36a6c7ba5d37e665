"""The triplet loss against pytorch-metric-learning, triplet by triplet, and without any triplet in memory."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pytorch_metric_learning.distances import CosineSimilarity, LpDistance
from pytorch_metric_learning.losses import TripletMarginLoss
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from .totals import triplet

DISTANCES = {"cosine": (CosineSimilarity(), 1.0), "half the squared Euclidean": (LpDistance(power=2), 0.5)}


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("present", [[0, 1, 2, 3, 4], [0, 2]], ids=["all", "absent-classes"])
@pytest.mark.parametrize("margin", [0.0, 0.1, 0.8])
def test_values_and_gradients_equal_pytorch_metric_learning(distance: str, present: list[int], margin: float) -> None:
    torch.manual_seed(0)
    proxies = torch.randn(5, 16, dtype=torch.float64, requires_grad=True)
    tokens = torch.randn(40, 16, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor(present)[torch.randint(len(present), (40,))]
    value = triplet(proxies, tokens, labels[:, None] == torch.arange(5), margin=margin)
    measure, factor = DISTANCES[distance]
    loss = TripletMarginLoss(margin=margin / factor, distance=measure)
    expected = factor * loss(proxies, torch.arange(5), ref_emb=tokens, ref_labels=labels)
    for mine, theirs in zip(
        (value, *torch.autograd.grad(value, (proxies, tokens))),
        (expected, *torch.autograd.grad(expected, (proxies, tokens))),
    ):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-12)


def slow(proxies: Tensor, tokens: Tensor, positive: Tensor, negative: Tensor, margin: float) -> float:
    """The mean over triplets above zero, in three loops."""
    cosine = torch.cosine_similarity(tokens.detach()[:, None], proxies.detach()[None], dim=-1)
    terms = []
    for p in range(len(proxies)):
        for i in positive[:, p].nonzero():
            for j in negative[:, p].nonzero():
                terms.append(float(cosine[j, p] - cosine[i, p] + margin))
    terms = [term for term in terms if term > 0]
    return sum(terms) / max(len(terms), 1)


def test_tokens_in_neither_mask_are_in_no_triplet() -> None:
    torch.manual_seed(1)
    proxies = torch.randn(6, 8, dtype=torch.float64, requires_grad=True)
    tokens = torch.randn(30, 8, dtype=torch.float64, requires_grad=True)
    positive, negative = (torch.rand(30, 6) < 0.3 for _ in range(2))
    negative &= ~positive
    positive[:3], negative[:3] = False, False
    positive[:, 4] = False  # a proxy without a positive pushes nothing
    value = triplet(proxies, tokens, positive, negative, margin=0.2)
    assert value.item() == pytest.approx(slow(proxies, tokens, positive, negative, margin=0.2), rel=1e-9)
    value.backward()
    assert not tokens.grad[:3].any() and not proxies.grad[4].any() and proxies.grad[:4].any(dim=1).all()


def test_satisfied_triplets_give_zero_loss_and_zero_gradients() -> None:
    proxies, tokens = torch.eye(3, requires_grad=True), torch.eye(3, requires_grad=True)
    value = triplet(proxies, tokens, torch.eye(3).bool(), margin=0.5)
    value.backward()
    assert value.item() == 0 and not proxies.grad.any() and not tokens.grad.any()


class LargestTensor(TorchDispatchMode):
    """Keeps the number of elements of the largest tensor that any operation made."""

    numel = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.numel = max([self.numel, *(leaf.numel() for leaf in tree_leaves(result) if isinstance(leaf, Tensor))])
        return result


def test_ten_thousand_tokens_need_no_memory_for_their_triplets_and_lose_no_precision() -> None:
    torch.manual_seed(2)
    proxies, tokens = torch.randn(8, 16), torch.randn(10_000, 16)
    positive = torch.randint(8, (10_000, 1)) == torch.arange(8)
    with LargestTensor() as largest:
        value = triplet(proxies, tokens, positive)
    assert largest.numel <= 16 * 10_000  # a single proxy has 1,250 x 8,750 triplets
    wide = triplet(proxies.double(), tokens.double(), positive)
    assert value.item() == pytest.approx(wide.item(), rel=1e-5)
    cosine = torch.cosine_similarity(tokens.double(), proxies[0].double()[None])
    gaps = cosine[~positive[:, 0]] - cosine[positive[:, 0], None] + 0.1
    one = triplet(proxies[:1].double(), tokens.double(), positive[:, :1])
    assert one.item() == pytest.approx(gaps[gaps > 0].mean().item(), rel=1e-9)
