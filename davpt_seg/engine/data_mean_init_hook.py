"""Hook that initialises prompts with prototypes of the training data's tokens."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Optional

from mmengine.dist import broadcast
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor

from ..core.annotations import Count, Seed
from ..core.arguments import checked
from ..core.prototypes import prototypes
from ..errors import InputError
from ..long_work import reported
from ..models.prompted_vit import PromptedViTBackbone
from .data_pass import batch_size, data_pass
from .guided import bare_model


@HOOKS.register_module()
class DataMeanInitHook(Hook):
    """Initialise all prompts with :func:`~davpt_seg.core.prototypes.prototypes` before the first iteration.

    A resumed run, and a run with prompts from ``load_from``, keep their prompts.

    Args:
        num_images: number of training images for the prototypes, rounded up to complete batches; None for all. With
            several processes, they are from the first one's share.
        seed: seed of the images' order and of k-means.
    """

    priority = "HIGH"  # before class means are computed

    @checked("DataMeanInitHook")
    def __init__(self, num_images: Optional[Count] = 1024, seed: Seed = 0) -> None:
        self.num_images = num_images
        self.seed = seed

    def before_train(self, runner: Runner) -> None:
        """Set the prompts; all processes use those of the first."""
        model = bare_model(runner)
        backbones = [m for m in model.modules() if isinstance(m, PromptedViTBackbone)]
        if len(backbones) != 1:
            raise InputError(f"DataMeanInitHook needs one PromptedViT backbone in the model, found {len(backbones)}")
        awaited = backbones[0].prompts is not None and backbones[0].prompts.awaits_prototypes
        if runner.iter or (runner.cfg.get("load_from") and not awaited):
            return
        bound = None if self.num_images is None else -(-self.num_images // batch_size(runner))
        with data_pass(runner, self.seed) as loader:
            total = min(len(loader), bound or len(loader))
            runner.logger.info(f"Prototypes: {total} batches through the frozen ViT ...")

            def images() -> Iterator[Tensor]:
                for batch in reported(islice(loader, total), total, "Prototypes, batches", runner.logger.info):
                    yield model.data_preprocessor(batch, True)["inputs"]

            num_tokens = prototypes(backbones[0], images(), self.seed)
        assert backbones[0].prompts is not None  # otherwise there are no prototypes
        for values in backbones[0].prompts.parameters():
            broadcast(values.data)
        backbones[0].prompts.keep_initial()
        runner.logger.info(f"Prompts start at prototypes, k-means of {num_tokens} patch tokens in each block")
