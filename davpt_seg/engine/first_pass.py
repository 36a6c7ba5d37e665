"""Pass of the bare ViT over training images, for the first class means."""

from __future__ import annotations

from itertools import islice
from typing import Optional

import torch
from mmengine.dist import all_reduce
from mmengine.runner import Runner
from torch import Tensor

from ..core.guidance.guidance import Guidance
from ..long_work import reported
from ..models.prompted_vit import PromptedViTBackbone
from .batch_labels import batch_labels
from .data_pass import data_pass
from .guided import bare_model


@torch.no_grad()
def observe_training_images(
    runner: Runner,
    backbone: PromptedViTBackbone,
    guidance: Guidance,
    max_batches: Optional[int],
    images_per_class: Optional[int],
) -> None:
    """Update the mapping's class means with tokens of training images, from the backbone without prompts.

    The images depend only on the data, the bounds and the mapping's seed. The run's random state is restored
    afterwards. Progress is logged.

    Args:
        runner: runner with the model and the training data.
        backbone: backbone of the model.
        guidance: guidance of the backbone.
        max_batches: largest number of batches on each process; None for all images.
        images_per_class: number of images with a patch of each class that ends the pass early; None for no such end.
    """
    model = bare_model(runner)
    with data_pass(runner, guidance.mapping.seed) as loader:
        total = min(len(loader), max_batches or len(loader))
        runner.logger.info(f"First class means: at most {total} batches through the frozen ViT ...")
        images = torch.zeros(guidance.num_classes, dtype=torch.long)
        model.eval()
        batches = reported(islice(loader, total), total, "First class means, batches", runner.logger.info)
        for done, batch in enumerate(batches, 1):
            data = model.data_preprocessor(batch, True)
            with runner.optim_wrapper.optim_context(model):  # in mixed precision, as training
                records = backbone.encode(data["inputs"], record=True, prompted=False).records
            labels = batch_labels(data["inputs"], data["data_samples"], guidance.labelling)
            patches = guidance.targets(records, labels).patches
            guidance.observe(records, patches)
            if images_per_class is not None:
                images += images_with(patches, guidance.num_classes)
                if images.min() >= images_per_class:
                    runner.logger.info(
                        f"First class means: {done} batches gave every class {images_per_class} images or more."
                    )
                    break
        model.train()


def images_with(patches: Tensor, num_classes: int) -> Tensor:
    """Count, over all processes, the images that have a patch of each class: (B, N) labels -> (C,)."""
    void = (patches < 0) | (patches >= num_classes)
    holds = torch.zeros(len(patches), num_classes + 1, dtype=torch.long, device=patches.device)
    holds.scatter_(1, patches.masked_fill(void, num_classes), 1)
    count = holds[:, :-1].sum(dim=0)
    all_reduce(count)
    return count.cpu()
