"""Mean effect of the prompts on the attention of each block."""

from __future__ import annotations

import torch
from torch import Tensor

from ..core.vit import PromptedViT
from .block_attention import attention_on_prompts, prompt_counts

#: Names of the measure, by whether the prompts start at zero.
MEASURES = {False: "prompt_share", True: "prompt_contribution"}


@torch.no_grad()
def prompt_effect(model: PromptedViT, images: Tensor) -> dict[int, float]:
    """Return what prompts add to the attention of each block that has prompts, in one pass.

    Args:
        model: model in eval mode, with prompts.
        images: images (B, 3, H, W), normalised with the constants of the weights.

    Returns:
        By block, counted from 0, means over images and patches: the share of attention on all prompts, 0 to 1
        (:func:`~davpt_seg.visualization.prompt_maps.prompt_attention`); of zero-start prompts, the norm of their
        contribution relative to the tokens' output
        (:func:`~davpt_seg.visualization.prompt_maps.prompt_contribution`).
    """
    patches = model.patches(model.grid(images))
    counts = prompt_counts(model)
    return {
        block: float(attention_on_prompts(model, attended, block).strength[:, patches].mean())
        for block, (_, _, attended) in enumerate(model.walk(model.embed(images)))
        if counts[block]
    }
