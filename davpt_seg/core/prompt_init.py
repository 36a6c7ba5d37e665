"""Initial values of prompts from data: the means of what each block reads."""

from __future__ import annotations

import logging
from collections.abc import Iterable

import torch
from sklearn.cluster import KMeans
from torch import Tensor

from ..errors import InputError
from .annotations import Seed
from .arguments import checked
from .vit import PromptedViT

logger = logging.getLogger("davpt_seg")


@torch.no_grad()
@checked("data_means")
def data_means(model: PromptedViT, batches: Iterable[Tensor], seed: Seed = 0) -> int:
    """Start each block's M prompts at the M means (k-means) of the patch tokens that enter that block.

    DA-VPT (arXiv 2505.23694), Sec. 4.3, compares such a start with a random one, and finds it worse. The tokens are
    those of the bare trunk, without prompts, and all are held at once: an image of 1,024 patches takes 100 MB with a
    ViT-L. With the prompts' ``norm`` they are normalised on use, as any other value is.

    Args:
        model: whose prompts are overwritten. Its mode is kept; the pass runs in eval mode.
        batches: images, each (B, 3, H, W), normalised with the constants of the weights, on the model's device.
        seed: of k-means.

    Returns:
        How many patch tokens each block's means are of.

    Raises:
        ValueError: a model without prompts or with pruned ones, or fewer patch tokens than a block has prompts.
    """
    if not model.prompts or not any(model.prompts.counts):
        raise InputError("data_means fills prompts, and the model has none")
    if model.prompts.segments:
        raise InputError("data_means fills whole prompts, and segments of these were pruned")
    counts = model.prompts.counts
    entering: list[list[Tensor]] = [[] for _ in counts]
    was_training = model.training
    model.eval()
    with model.adapters.switched_off(model.trunk):
        for images in batches:
            tokens = model.embed(images)
            patches = model.patches(model.grid(images))
            for i, (following, _, _) in enumerate(model.walk(tokens, prompted=False)):
                if counts[i]:
                    entering[i].append(tokens[:, patches].flatten(0, 1).float().cpu())
                tokens = following
    model.train(was_training)
    total = 0
    for i, collected in enumerate(entering):
        if not counts[i]:
            continue
        points = torch.cat(collected) if collected else torch.empty(0, model.embed_dim)
        total = len(points)
        if total < counts[i]:
            raise InputError(
                f"block {i} has {counts[i]} prompts, more than the {total} patch tokens to start them from"
            )
        means = KMeans(counts[i], random_state=seed, n_init=1, max_iter=20).fit(points.numpy())
        values: Tensor = model.prompts.values[str(i)]
        values.copy_(torch.from_numpy(means.cluster_centers_))
    return total
