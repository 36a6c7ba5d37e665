"""What guidance does to the space that prompts and patches share, in four numbers."""

from __future__ import annotations

import torch
from torch import Tensor

from .losses import cosines


@torch.no_grad()
def pair_statistics(proxies: Tensor, tokens: Tensor, positive: Tensor, negative: Tensor) -> dict[str, Tensor]:
    """Measure how well proxies and tokens of a class meet, without gradient and in float32 or wider.

    Args:
        proxies: (P, D).
        tokens: (T, D).
        positive: (T, P) bool, token and proxy are of the same class.
        negative: (T, P) bool, they are of different classes. A void token is in neither.

    Returns:
        Scalars, each left out where it would be of nothing:

        - ``cos_positive``, ``cos_negative``: mean cosine of the pairs of the same and of different classes.
        - ``nearest_right``: share of the labelled tokens whose nearest proxy, by cosine, is of their class.
        - ``labelled``: share of tokens that are not void.
    """
    cosine = cosines(proxies, tokens)  # (T, P)
    labelled = (positive | negative).any(dim=1)
    right = positive.gather(1, cosine.argmax(dim=1, keepdim=True)).squeeze(1)
    found = {
        "cos_positive": cosine[positive],
        "cos_negative": cosine[negative],
        "nearest_right": right[labelled].to(cosine.dtype),
        "labelled": labelled.to(cosine.dtype),
    }
    return {name: values.mean() for name, values in found.items() if len(values)}
