"""The space that all metric losses measure in."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def cosines(proxies: Tensor, tokens: Tensor) -> Tensor:
    """Cosine of each token (T, D) and proxy (P, D), (T, P), in float32 or wider, whatever autocast says."""
    dtype = torch.promote_types(tokens.dtype, torch.float32)
    with torch.autocast(tokens.device.type, enabled=False):
        return F.normalize(tokens.to(dtype), dim=-1) @ F.normalize(proxies.to(dtype), dim=-1).T
