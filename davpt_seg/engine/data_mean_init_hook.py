"""Starts prompts at the means of the training data's tokens."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from mmengine.dist import broadcast
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor

from ..core.annotations import Count, Seed
from ..core.arguments import checked
from ..core.prompt_init import data_means
from ..errors import InputError
from ..models import PromptedViTBackbone
from .data_pass import batch_size, data_pass
from .guided import bare_model


@HOOKS.register_module()
class DataMeanInitHook(Hook):
    """Before the first iteration, start all prompts at :func:`~davpt_seg.core.prompt_init.data_means`.

    A run that is resumed or that starts from a checkpoint (``load_from``) keeps the prompts it has.

    Args:
        num_images: how many training images the means are of, about; with several processes, of the first one's share.
        seed: of their order and of k-means.
    """

    priority = "HIGH"  # before class means are gathered

    @checked("DataMeanInitHook")
    def __init__(self, num_images: Count = 16, seed: Seed = 0) -> None:
        self.num_images = num_images
        self.seed = seed

    def before_train(self, runner: Runner) -> None:
        """Overwrite the prompts; all processes take those of the first."""
        if runner.iter or runner.cfg.get("load_from"):
            return
        model = bare_model(runner)
        backbones = [m for m in model.modules() if isinstance(m, PromptedViTBackbone)]
        if len(backbones) != 1:
            raise InputError(f"DataMeanInitHook needs one PromptedViT backbone in the model, found {len(backbones)}")
        batches = -(-self.num_images // batch_size(runner))
        with data_pass(runner, self.seed) as loader:

            def images() -> Iterator[Tensor]:
                for batch in islice(loader, batches):
                    yield model.data_preprocessor(batch, True)["inputs"]

            num_tokens = data_means(backbones[0], images(), self.seed)
        assert backbones[0].prompts is not None  # or there had been no means to take
        for values in backbones[0].prompts.parameters():
            broadcast(values.data)
        runner.logger.info(f"Prompts start at data means, k-means of {num_tokens} patch tokens a block")
