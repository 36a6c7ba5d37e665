"""Four statistics of prompts and patches in the space that guidance shapes."""

from __future__ import annotations

import torch
from torch import Tensor

from .losses import cosines


@torch.no_grad()
def pair_statistics(proxies: Tensor, tokens: Tensor, positive: Tensor, negative: Tensor) -> dict[str, Tensor]:
    """Measure how well proxies and tokens of a class match, without gradient and in float32 or wider.

    Args:
        proxies: vectors (P, D).
        tokens: vectors (T, D).
        positive: pairs of the same class, (T, P) bool.
        negative: pairs of different classes, (T, P) bool. Neither holds void tokens.

    Returns:
        Scalars; one without any pair or token is omitted:

        - ``cos_positive``, ``cos_negative``: mean cosine of the pairs of the same and of different classes.
        - ``nearest_right``: share of labelled tokens whose nearest proxy, by cosine, is of their class.
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
