"""The steps of a timm block that prompts join, as timm's ViTs have them; other families override what differs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Optional

from torch import Tensor, nn

from ..projection import Projected


class Embedded(NamedTuple):
    """An image as the first block takes it.

    Attributes:
        tokens: prefix and patches, (B, prefix + N, D).
        positions: what each block's attention learns about places, in its family's form, or None.
    """

    tokens: Tensor
    positions: Sequence[Any]


class Heads(NamedTuple):
    """What the walk reads of an attention: numbers of heads and channels, factor of scores, dropout and mode."""

    num_heads: int
    head_dim: int
    scale: float
    attn_drop: nn.Dropout
    training: bool


class Family:
    """How a kind of timm block takes tokens in, projects them, marks their places, and adds to them.

    A block is an argument, and a family keeps no state. These are the steps of timm's ``Block``: pre-norm, a fused
    ``qkv``, no places. Another family is a subclass in another file and a line in
    :data:`~davpt_seg.core.blocks.FAMILIES`.
    """

    def attention(self, block: Any) -> Any:
        """Return the block's attention, or :class:`Heads` where none of its modules has all of these attributes."""
        return block.attn

    def enter(self, block: Any, tokens: Tensor) -> Tensor:
        """Return what the block projects of tokens or prompts (..., D)."""
        return block.norm1(tokens)

    def sizes(self, block: Any) -> tuple[int, int, int]:
        """Return the output channels of the projections to queries, keys and values."""
        size = block.attn.num_heads * block.attn.head_dim
        return size, size, size

    def project(self, block: Any, entering: Tensor, offset: Optional[Tensor] = None) -> Projected:
        """Project what :meth:`enter` returned; values must be affine in it, keys and queries up to qk-norm.

        Args:
            block: timm's block.
            entering: (..., D).
            offset: learned offset on the biases of queries, keys and values, (sum of :meth:`sizes`,) or each image's
                own, (B, 1, sum of sizes); or None.
        """
        attn = block.attn
        qkv = shifted(attn.qkv(entering), offset)
        query, key, value = qkv.unflatten(-1, (3, attn.num_heads, attn.head_dim)).unbind(-3)
        return Projected(attn.q_norm(query), attn.k_norm(key), value)

    def project_tokens(
        self, block: Any, entering: Tensor, offset: Optional[Tensor] = None
    ) -> tuple[Projected, Optional[Tensor]]:
        """Project tokens (B, N, D) as :meth:`project` does, and return what the same layer computes for :meth:`leave`.

        That is the hidden layer of an FFN beside attention, (B, N, hidden), and None in other blocks.
        """
        return self.project(block, entering, offset), None

    def placed(self, block: Any, tokens: Projected, position: Any) -> Projected:
        """Return the tokens' projections as attention compares them: rotated, where positions are rotations.

        Prompts have no place and do not pass here. Those that stay in the sequence are its last tokens, and get none.
        """
        return tokens

    def mask(self, block: Any, position: Any, queries: int, keys: int) -> Optional[Tensor]:
        """Return what is added to attention's scores, (heads, queries, keys) or None; 0 for prompts, the last keys."""
        return None

    def gather(self, block: Any, entering: Tensor, heads: Tensor) -> Tensor:
        """Return attention's output before its last projection, of concatenated heads (B, N, heads * head_dim)."""
        attn = block.attn
        output = attn.norm(heads)
        return output if attn.gate is None else output * attn.gate(entering).sigmoid()

    def leave(
        self,
        block: Any,
        tokens: Tensor,
        entering: Tensor,
        output: Tensor,
        hidden: Optional[Tensor],
        ffn: Optional[Callable[..., Tensor]],
    ) -> Tensor:
        """Add attention and FFN to tokens (B, N, D).

        Args:
            block: timm's block.
            tokens: tokens that entered the block.
            entering: what :meth:`enter` returned for them.
            output: what :meth:`gather` returned.
            hidden: what :meth:`project_tokens` returned besides projections.
            ffn: what replaces the FFN's output, given its input (:meth:`enter_ffn`) and that output, or None.
        """
        attn = block.attn
        update = attn.proj_drop(attn.proj(output))
        tokens = tokens + block.drop_path1(self.scale_attention(block, update))
        entering = self.enter_ffn(block, tokens)
        update = self.scale_ffn(block, block.mlp(entering))
        if ffn is not None:
            update = ffn(entering, update)
        return tokens + block.drop_path2(update)

    def enter_ffn(self, block: Any, tokens: Tensor) -> Tensor:
        """Return what the FFN reads of tokens (B, N, D) to which attention was added."""
        return block.norm2(tokens)

    def scale_attention(self, block: Any, update: Tensor) -> Tensor:
        """Apply the layer scale of attention."""
        return block.ls1(update)

    def scale_ffn(self, block: Any, update: Tensor) -> Tensor:
        """Apply the layer scale of the FFN."""
        return block.ls2(update)

    def merge_offset(self, block: Any, offset: Optional[Tensor]) -> None:
        """Add a learned offset, see :meth:`project`, to the block's own biases; one that a layer lacks is made."""
        add_bias(block.attn.qkv, offset)


def shifted(projected: Tensor, offset: Optional[Tensor]) -> Tensor:
    """Add a learned offset in the type of what it is added to."""
    # without the cast, autocast would carry float32 on from here
    return projected if offset is None else projected + offset.to(projected.dtype)


def joined(*offsets: Optional[Tensor]) -> Optional[Tensor]:
    """Add up what is not None."""
    found = [offset for offset in offsets if offset is not None]
    return found[0] if len(found) == 1 else sum(found[1:], found[0]) if found else None


def add_bias(layer: nn.Linear, offset: Optional[Tensor]) -> None:
    """Add an offset to the bias of a linear layer; None adds nothing."""
    if offset is not None:
        layer.bias = nn.Parameter(offset.clone() if layer.bias is None else layer.bias + offset)
