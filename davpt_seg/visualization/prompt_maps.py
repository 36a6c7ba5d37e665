"""Maps between patches and prompts: attention, and similarity in the space that guidance shapes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..core.precision import without_autocast
from ..core.vit import PromptedViT
from ..errors import InputError
from .block_attention import OnPrompts, attention_on_prompts, block_with_prompts


@torch.no_grad()
def prompt_attention(model: PromptedViT, images: Tensor, block: int) -> Tensor:
    """Return the share of each patch's attention on each prompt, in one block.

    The prompts are keys in addition to the block's tokens (VPT-Deep arXiv 2203.12119; DA-VPT arXiv 2505.23694, Eq. 1).
    The softmax is over all of them, so a patch's shares add up to less than 1; the rest is on tokens. They are
    computed only for figures, in float32 or wider; training never needs them.

    Args:
        model: model in eval mode (in training mode, with prompt dropout).
        images: images (B, 3, H, W), normalised with the constants of the weights; they are padded right and below to
            multiples of the patch, as in training.
        block: index of the block, counted from 0; negative from the last. A block without prompts of its own has the
            persistent prompts of an earlier block.

    Returns:
        Shares (B, M, h, w), means over heads. :mod:`davpt_seg.visualization.block_attention` has them head by head.

    Raises:
        ValueError: a block that does not exist or has no prompts, or zero-start prompts, which have no share of the
            tokens' attention; see :func:`prompt_contribution`.
    """
    grid = model.grid(images)
    shares = _shares_of_prompts(model, images, block)[:, model.patches(grid)]  # (B, N, M)
    return shares.transpose(1, 2).unflatten(2, grid)


@torch.no_grad()
def class_token_prompt_attention(model: PromptedViT, images: Tensor, block: int) -> Tensor:
    """Return the share of the class token's attention on each prompt, in one block; see :func:`prompt_attention`.

    Returns:
        Shares (B, M), means over heads.

    Raises:
        ValueError: see :func:`prompt_attention`, or a ViT without class token.
    """
    if model.trunk.cls_token is None:
        raise InputError("this ViT has no class token; use prompt_attention")
    return _shares_of_prompts(model, images, block)[:, 0]


@torch.no_grad()
def prompt_contribution(model: PromptedViT, images: Tensor, block: int) -> Tensor:
    """Return the norm of the contribution of zero-start prompts to attention, relative to the tokens' output.

    Such prompts have a second softmax (:mod:`davpt_seg.core.prompts.zero_start`), whose weights add up to 1 even at the
    start, when they contribute nothing. Therefore the norms of the two outputs, heads concatenated, are compared. Extra
    keys and values (E2VPT) count as prompts.

    Args:
        model: model in eval mode, with ``prompts=dict(start="offset")`` or ``"gate"``.
        images: images (B, 3, H, W), normalised with the constants of the weights.
        block: index of the block, counted from 0; negative from the last.

    Returns:
        Ratios (B, prefix + h * w), 0 at the start of training.

    Raises:
        ValueError: a block that does not exist or has no prompts, or prompts in the tokens' softmax.
    """
    if not model.starts_at_zero:
        raise InputError("prompts in the tokens' softmax have a share of the attention: see prompt_attention")
    return _on_prompts(model, images, block).strength


def _on_prompts(model: PromptedViT, images: Tensor, block: int) -> OnPrompts:
    """Return the attention of all tokens in a block with prompts."""
    block = block_with_prompts(model, block)
    walk = model.walk(model.embed(images))
    attended = next(done for i, (_, _, done) in enumerate(walk) if i == block)
    return attention_on_prompts(model, attended, block)


def _shares_of_prompts(model: PromptedViT, images: Tensor, block: int) -> Tensor:
    """Return the share of each token's attention on each prompt, (B, tokens, M)."""
    block = block_with_prompts(model, block)
    if model.starts_at_zero:
        assert model.prompts is not None  # by the block's count
        raise InputError(
            f"prompts with start={model.prompts.start!r} have a separate softmax, and so no share of the tokens' "
            "attention; use prompt_contribution, which measures what they add"
        )
    return _on_prompts(model, images, block).shares.mean(dim=1)


@torch.no_grad()
def prompt_similarity(model: PromptedViT, images: Tensor) -> Tensor:
    """Compare each patch with each prompt as the metric loss does (DA-VPT, arXiv 2505.23694, Eq. 4).

    Guidance trains this similarity, not attention: a patch is drawn to the prompts of its class.

    Args:
        model: model with guidance, in eval mode; its last guided block is used.
        images: images (B, 3, H, W), normalised with the constants of the weights.

    Returns:
        Cosines (B, M, h, w).

    Raises:
        ValueError: a model without guidance.
    """
    if model.guidance is None:
        raise InputError("the model has no guidance, so its prompts are assigned to no class")
    record = model.encode(images, record=True).records[-1]
    assert record.prompts is not None  # guided blocks have prompts
    dtype = torch.promote_types(images.dtype, torch.float32)
    with without_autocast(images.device):
        tokens, prompts = (F.normalize(side.to(dtype), dim=-1) for side in (record.tokens, record.prompts))
        return (prompts @ tokens.transpose(1, 2)).unflatten(2, record.grid)
