"""Initial values of prompts from data: prototypes of what each block reads."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Optional

import torch
from torch import Tensor

from ..errors import InputError
from .annotations import Seed
from .arguments import checked
from .vit import PromptedViT


class Prototypes:
    """Means of k-means over any number of tokens, seen batch by batch: no more than a batch is held at once.

    Args:
        number: number of means.
        seed: seed of their start and of the means that replace unused ones.
    """

    def __init__(self, number: int, seed: int) -> None:
        from sklearn.cluster import MiniBatchKMeans  # a second or more

        self.kmeans = MiniBatchKMeans(number, random_state=seed, n_init=1)
        self.first: Optional[Tensor] = None
        self.seen = 0

    def observe(self, tokens: Tensor) -> None:
        """Move the means by tokens (n, D); the first ones wait until there is one for each mean."""
        self.seen += len(tokens)
        tokens = tokens.float().cpu()
        if self.first is not None:
            tokens = torch.cat([self.first, tokens])
        enough = self.seen >= self.kmeans.n_clusters
        self.first = None if enough else tokens
        if enough:
            self.kmeans.partial_fit(tokens.numpy())

    def means(self) -> Tensor:
        """Return the means, (number, D)."""
        return torch.from_numpy(self.kmeans.cluster_centers_)


@torch.no_grad()
@checked("prototypes")
def prototypes(model: PromptedViT, batches: Iterable[Tensor], seed: Seed = 0) -> int:
    """Start each block's M prompts at M prototypes of the patch tokens that enter that block, in one pass.

    This is the initialisation of SPT (arXiv 2402.02382): prompts of a trained model share much information with the
    patch tokens, so they start there. Prototypes are the means of mini-batch k-means. The tokens are those of the bare
    trunk, without prompts; with the prompts' ``norm`` they are normalised on use, as any other value is. DA-VPT (arXiv
    2505.23694), Sec. 4.3, compares means of the data with a random start, and finds them worse under guidance.

    Args:
        model: a model whose prompts are overwritten. Its mode is kept; the pass runs in eval mode.
        batches: images, each (B, 3, H, W), normalised with the constants of the weights, on the model's device.
        seed: k-means' seed.

    Returns:
        Number of patch tokens that each block's prototypes are of.

    Raises:
        ValueError: a model without prompts or with pruned ones, or fewer patch tokens than a block has prompts.
    """
    if not model.prompts or not any(model.prompts.counts):
        raise InputError("prototypes fill prompts, and the model has none")
    if model.prompts.segments:
        raise InputError("prototypes fill complete prompts, and segments of these were pruned")
    found = {i: Prototypes(count, seed) for i, count in enumerate(model.prompts.counts) if count}
    was_training = model.training
    model.eval()
    with model.adapters.switched_off():
        for images in batches:
            embedded = model.embed(images)
            tokens = embedded.tokens
            patches = model.patches(model.grid(images))
            for i, (following, _, _) in enumerate(model.walk(embedded, prompted=False)):
                if i in found:
                    found[i].observe(tokens[:, patches].flatten(0, 1))
                tokens = following
    model.train(was_training)
    for i, each in found.items():
        if each.seen < each.kmeans.n_clusters:
            raise InputError(
                f"block {i} has {each.kmeans.n_clusters} prompts, more than the {each.seen} patch tokens to start them "
                "from"
            )
        values: Tensor = model.prompts.values[str(i)]
        values.copy_(each.means())
    model.prompts.keep_initial()
    return next(iter(found.values())).seen
