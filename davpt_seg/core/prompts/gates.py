"""Gates between the blocks and a temperature in each block (GateVPT)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..annotations import Count
from ..arguments import checked

COLDEST, HOTTEST = 0.01, 10.0


class Gates(nn.Module):
    """Gates of shallow prompts and attention temperatures (GateVPT, arXiv 2306.05067).

    After each block but the last, a prompt that entered it as P_in and left it as P_out becomes
    sigmoid(g) P_out + (1 - sigmoid(g)) P_in, with one learned g per block. In each block, attention scores are divided
    by a learned temperature.

    Args:
        depth: number of blocks L.
        start: initial value of each g; below 0, prompts first change little from block to block. The released code has
            -10 by default and -5 in its example. Temperatures start at 1.
    """

    @checked("gates")
    def __init__(self, depth: Count, start: float = -5.0) -> None:
        super().__init__()
        self.gates = nn.Parameter(torch.full((depth - 1,), float(start)), requires_grad=depth > 1)
        self.temperatures = nn.Parameter(torch.ones(depth))

    def temperature(self, block: int) -> Tensor:
        """Return a block's temperature, a scalar within [0.01, 10].

        Its gradient passes through the bounds, because a temperature outside them would otherwise not be trained any
        more. (The released code moves it back to its bound before each pass.)
        """
        free = self.temperatures[block]
        return free + (free.clamp(COLDEST, HOTTEST) - free).detach()

    def forward(self, block: int, entered: Tensor, tokens: Tensor) -> Tensor:
        """Apply a block's gate to the prompts at the end of its output, (B, N + M, D).

        Args:
            block: index of the block, counted from 0.
            entered: prompts that entered the block, (B, M, D) or (M, D).
            tokens: output of the block.
        """
        if block == len(self.gates):
            return tokens
        others, prompts = tokens.split([tokens.shape[1] - entered.shape[-2], entered.shape[-2]], dim=1)
        gate = self.gates[block].sigmoid()
        mixed = gate * prompts + (1 - gate) * entered
        return torch.cat([others, mixed.to(tokens.dtype)], dim=1)
