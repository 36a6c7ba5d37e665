"""timm's EVA (``timm.models.eva``): rotary positions. DINOv3, EVA-02, Perception Encoder, RoPE ViTs, Sapiens 2.

A rotation multiplies a token's query and key in every block, by the place of its patch. Class token, registers and
prompts have no place: they stay as they are, as timm has it for its prefix tokens.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, Optional

import torch
import torch.nn.functional as F
from timm.layers import apply_rot_embed_cat
from timm.models.eva import Eva
from torch import Tensor, nn

from ..projection import Projected
from .family import Embedded, Family, add_bias, joined, shifted


class EvaFamily(Family):
    """EVA's pre-norm block, with ``EvaAttention`` or ``AttentionRope``: rotations, and projections fused or apart."""

    def sizes(self, block: Any) -> tuple[int, int, int]:
        """Return the output channels of the projections; keys and values may have fewer heads than queries."""
        attn = block.attn
        if attn.qkv is None:
            return attn.q_proj.out_features, attn.k_proj.out_features, attn.v_proj.out_features
        return super().sizes(block)

    def project(self, block: Any, entering: Tensor, offset: Optional[Tensor] = None) -> Projected:
        """Project by ``qkv`` or by three layers; a head of keys and values that serves several queries is repeated."""
        attn = block.attn
        if attn.qkv is None:
            sides = [shifted(layer(entering), own) for layer, own in self._layers(block, offset)]
        else:
            sides = list(shifted(attn.qkv(entering), joined(self.biases(block), offset)).chunk(3, dim=-1))
        query, key, value = (side.unflatten(-1, (-1, attn.head_dim)) for side in sides)
        key = attn.k_norm(key)
        groups = query.shape[-2] // key.shape[-2]
        if groups > 1:
            key, value = (side.repeat_interleave(groups, dim=-2) for side in (key, value))
        return Projected(attn.q_norm(query), key, value)

    def _layers(self, block: Any, offset: Optional[Tensor]) -> Iterator[tuple[nn.Linear, Optional[Tensor]]]:
        """Yield the three layers, each with its share of an offset."""
        shares = (None,) * 3 if offset is None else offset.split(self.sizes(block), dim=-1)
        return zip((block.attn.q_proj, block.attn.k_proj, block.attn.v_proj), shares)

    def biases(self, block: Any) -> Optional[Tensor]:
        """Return the biases that ``EvaAttention`` keeps beside its fused ``qkv``, or None."""
        attn = block.attn
        if getattr(attn, "q_bias", None) is None:
            return None
        return torch.cat([attn.q_bias, attn.k_bias, attn.v_bias])

    def placed(self, block: Any, tokens: Projected, position: Optional[Tensor]) -> Projected:
        """Rotate queries and keys (B, N, heads, head_dim) by the first N rows of :func:`rotations`."""
        if position is None:
            return tokens
        turn = partial(apply_rot_embed_cat, emb=position[: tokens.query.shape[1]], half=block.attn.rotate_half)
        query, key = (turn(side).type_as(tokens.value) for side in tokens[:2])
        return tokens._replace(query=query, key=key)

    def scale_attention(self, block: Any, update: Tensor) -> Tensor:
        """Apply the layer scale of attention."""
        return update if block.gamma_1 is None else block.gamma_1 * update

    def scale_ffn(self, block: Any, update: Tensor) -> Tensor:
        """Apply the layer scale of the FFN."""
        return update if block.gamma_2 is None else block.gamma_2 * update

    def merge_offset(self, block: Any, offset: Optional[Tensor]) -> None:
        """Add a learned offset to the biases.

        Where queries and values have a bias beside the fused ``qkv``, and keys have none, that of the keys becomes a
        saved buffer. So does a bias that an adapter left in ``qkv``, which timm's own forward pass would not read.
        """
        attn = block.attn
        if attn.qkv is None:
            for layer, own in self._layers(block, offset):
                add_bias(layer, own)
        elif getattr(attn, "q_bias", None) is None:
            add_bias(attn.qkv, offset)
        else:
            offset = joined(attn.qkv.bias, offset)
            attn.qkv.bias = None
            if offset is not None:
                query, key, value = offset.chunk(3)
                attn.q_bias = nn.Parameter(attn.q_bias + query, requires_grad=False)
                attn.v_bias = nn.Parameter(attn.v_bias + value, requires_grad=False)
                attn.register_buffer("k_bias", attn.k_bias + key)


def embed(trunk: Eva, images: Tensor, carried: int) -> Embedded:
    """Turn images (B, 3, H, W) into tokens, and find their rotations, also of ``carried`` prompts that join later."""
    # timm names the step _pos_embed, but it is where class token, registers and resampled positions join.
    tokens, rotation = trunk._pos_embed(trunk.patch_embed(images))
    return Embedded(
        trunk.norm_pre(tokens),
        [None] * len(trunk.blocks) if rotation is None else rotations(trunk, rotation, carried),
    )


def rotations(trunk: Eva, rotation: Tensor, carried: int) -> list[Tensor]:
    """Return each block's rotations, (prefix + N + carried, heads or 1, 2 * head_dim): sines, then cosines.

    Args:
        trunk: the ViT.
        rotation: timm's, of N patches: (N, 2 * head_dim) for all blocks, or (depth, heads, N, 2 * head_dim).
        carried: number of prompts that stay in the sequence. They and the prefix are rotated by nothing.
    """
    sines, cosines = rotation.chunk(2, dim=-1)
    margin = (0, 0, trunk.num_prefix_tokens, carried)
    rotation = torch.cat([F.pad(sines, margin), F.pad(cosines, margin, value=1.0)], dim=-1)
    if trunk.rope_mixed:
        return [block.transpose(0, 1) for block in rotation]
    return [rotation[:, None]] * len(trunk.blocks)
