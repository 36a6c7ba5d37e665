"""Segments of pruned prompts: only the segments that stay are stored and learned."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ...errors import InputError


class Segments(nn.Module):
    """Segments of M prompts that stay (E2VPT, arXiv 2307.13770, Sec. 3.3), the same in every block.

    Args:
        kept: text for each prompt, with a ``1`` (stays) or ``0`` (removed) per segment: ``"1101..."``.
        embed_dim: width D; a segment is D / segments wide.

    Raises:
        ValueError: texts of unequal lengths or other letters, a prompt without any segment, or a number of segments
            that does not divide D.
    """

    kept: Tensor

    def __init__(self, kept: Sequence[str], embed_dim: int) -> None:
        super().__init__()
        lengths = {len(row) for row in kept}
        if isinstance(kept, str) or len(lengths) != 1 or any(set(row) - {"0", "1"} or "1" not in row for row in kept):
            raise InputError(
                f"prompts segments must be a list of equally long texts of 0 and 1, with a 1 in each, got {kept!r}; "
                "davpt_seg.core.prompts.importance makes one"
            )
        segments = lengths.pop()
        if embed_dim % segments:
            raise InputError(f"prompts segments: {segments} do not divide the width {embed_dim}")
        mask = torch.tensor([[letter == "1" for letter in row] for row in kept])
        self.register_buffer("kept", mask[..., None], persistent=False)  # (M, segments, 1)
        self.num_prompts = len(kept)
        self.shape = (sum(row.count("1") for row in kept), embed_dim // segments)  # of the learned values

    def forward(self, values: Tensor) -> Tensor:
        """Put the stored segments, (kept, D / segments), into prompts (M, D), with zeros elsewhere."""
        empty = values.new_zeros(*self.kept.shape[:2], values.shape[1])
        return empty.masked_scatter(self.kept, values).flatten(1)
