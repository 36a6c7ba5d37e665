"""For deployment: prompts become keys and values."""

from __future__ import annotations

from functools import partial
from typing import Any, Optional

from torch import Tensor, nn

from .attention import Changes
from .blocks.family import Family
from .projection import KeyValue
from .prompts.zero_start import Beside, joined_beside, project_prompts


class FoldedPrompts(nn.Module):
    """The keys and values of every block's prompts, (n, heads, head_dim), as buffers.

    Args:
        beside: they join beside the tokens' softmax, see :mod:`~davpt_seg.core.prompts.zero_start`.
    """

    def __init__(self, beside: bool) -> None:
        super().__init__()
        self.beside = beside

    def add(self, block: int, pair: KeyValue) -> None:
        """Keep a block's."""
        self.register_buffer(f"key_{block}", pair.key)
        self.register_buffer(f"value_{block}", pair.value)

    def forward(self, block: int) -> Optional[KeyValue]:
        """Return a block's, or None."""
        if not hasattr(self, f"key_{block}"):
            return None
        return KeyValue(self.get_buffer(f"key_{block}"), self.get_buffer(f"value_{block}"))


def folded_pair(family: Family, block: Any, prompts: Optional[Tensor], changes: Changes) -> Optional[KeyValue]:
    """Return the keys and values that a block's prompts (M, D) and extra keys join as, or None where there are none."""
    beside, pair = changes.beside or Beside(), None
    if prompts is not None:
        initial = None if beside.initial is None else family.enter(block, beside.initial)
        project = partial(family.project, block, offset=changes.bias)
        pair = project_prompts(project, family.enter(block, prompts), initial)[1]
    return joined_beside(pair, changes.extra, beside)
