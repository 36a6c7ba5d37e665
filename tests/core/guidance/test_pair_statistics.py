"""The statistics of guidance against scikit-learn's cosines and nearest neighbours."""

from __future__ import annotations

import pytest
import torch
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.neighbors import NearestNeighbors

from davpt_seg.core.guidance.pair_statistics import pair_statistics


def test_statistics_are_those_of_scikit_learn_and_void_counts_nowhere() -> None:
    torch.manual_seed(0)
    proxies, tokens = torch.randn(5, 8, requires_grad=True), torch.randn(60, 8, requires_grad=True)
    labels = torch.randint(6, (60,))  # 5 is void
    same = labels[:, None] == torch.arange(5) % 3  # proxies 0 and 3 are of one class, and none is of 3 or 4
    known = (labels < 5)[:, None].expand_as(same)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = pair_statistics(proxies, tokens, same & known, ~same & known)
    cosine = cosine_similarity(tokens.detach(), proxies.detach())
    nearest = NearestNeighbors(n_neighbors=1, metric="cosine").fit(proxies.detach().numpy())
    right = [
        labels[t] == k % 3 for t, (k,) in enumerate(nearest.kneighbors(tokens.detach(), return_distance=False).tolist())
    ]
    expected = {
        "cos_positive": cosine[(same & known).numpy()].mean(),
        "cos_negative": cosine[(~same & known).numpy()].mean(),
        "nearest_right": sum(r for r, label in zip(right, labels) if label < 5) / int((labels < 5).sum()),
        "labelled": int((labels < 5).sum()) / 60,
    }
    assert 0 < expected["nearest_right"] < 1
    assert {name: value.item() for name, value in found.items()} == pytest.approx(
        {name: float(value) for name, value in expected.items()}, rel=1e-5
    )
    assert not any(value.requires_grad or value.dtype != torch.float32 for value in found.values())


def test_what_would_be_of_nothing_is_left_out() -> None:
    nothing, everything = torch.zeros(4, 2, dtype=torch.bool), torch.ones(4, 2, dtype=torch.bool)
    of_void = pair_statistics(torch.randn(2, 8), torch.randn(4, 8), nothing, nothing)
    assert {name: value.item() for name, value in of_void.items()} == {"labelled": 0}
    assert "cos_negative" not in pair_statistics(torch.randn(2, 8), torch.randn(4, 8), everything, nothing)
