"""Similarity that the metric losses use."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ...precision import without_autocast


def cosines(proxies: Tensor, tokens: Tensor) -> Tensor:
    """Return the cosines (T, P) of tokens (T, D) and proxies (P, D), in float32 or wider, also under autocast."""
    dtype = torch.promote_types(tokens.dtype, torch.float32)
    with without_autocast(tokens.device):
        return F.normalize(tokens.to(dtype), dim=-1) @ F.normalize(proxies.to(dtype), dim=-1).T
