"""Hook that adds the metric losses to any model with a guided backbone."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Annotated, Any, Optional

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ..core.annotations import Range
from ..core.arguments import checked
from .batch_labels import batch_labels
from .guided import bare_model, guided_backbone
from .prompt_mapping_hook import PromptMappingHook

logger = logging.getLogger("davpt_seg")


@HOOKS.register_module()
class MetricLossHook(Hook):
    """Add ``loss_metric_patch`` and ``loss_metric_cls`` to the losses of an unmodified model.

    A PyTorch forward hook on the unwrapped model adds them to its dict of losses, inside the forward pass that
    DistributedDataParallel and autocast see. Labels are read from the data samples after the data preprocessor, and so
    after Mixup and CutMix: label maps, image labels or boxes
    (:func:`~davpt_seg.engine.batch_labels.batch_labels`). Weights and other settings are arguments of the backbone's
    ``guidance``.

    Args:
        log_stats: whether to log statistics of prompts and patches: ``patch_cos_positive``, ``patch_cos_negative``,
            ``patch_nearest_right`` and ``patch_labelled``
            (:func:`~davpt_seg.core.guidance.pair_statistics.pair_statistics`), over the images of all processes (with
            the guidance's ``gather=False``, of each process).
        log_parts: whether to log the two parts of each loss: ``metric_patch_pull``, of patches and prompts of the same
            class, and ``metric_patch_push``, of different classes; and the same for ``cls``.
        begin: share of the training's steps after which guidance starts, in [0, 1). Before, its losses are 0 and not
            computed, but class means are updated.
    """

    @checked("MetricLossHook")
    def __init__(
        self, log_stats: bool = False, begin: Annotated[float, Range(least=0, below=1)] = 0.0, log_parts: bool = False
    ) -> None:
        self.log_stats = log_stats
        self.log_parts = log_parts
        self.begin = begin
        self._counts = True

    _handle: Optional[RemovableHandle] = None

    def before_train(self, runner: Runner) -> None:
        """Attach to the model.

        Raises:
            ValueError: the model has no guided backbone, or several.
        """
        model = bare_model(runner)
        self._backbone, self._guidance = guided_backbone(model, "MetricLossHook")
        self.after_train(runner)
        clusters = any(isinstance(hook, PromptMappingHook) for hook in runner.hooks)
        if self._guidance.mapping.needs_clustering and not clusters:
            logger.warning(
                "Classes outnumber prompts, but no hook clusters them: class c stays at prompt c mod M. "
                "Add dict(type='PromptMappingHook') to custom_hooks, or set guidance mapping=dict(kind='random')."
            )
        self._handle = model.register_forward_hook(self._add_losses, with_kwargs=True)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Start guidance at its step; a resumed run starts it at the same step."""
        self._counts = runner.iter >= self.begin * runner.max_iters

    def after_train(self, runner: Runner) -> None:
        """Detach from the model."""
        if self._handle is not None:
            self._handle.remove()
            self._handle = None

    def _add_losses(
        self, model: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], outputs: Any
    ) -> Optional[dict[str, Tensor]]:
        # BaseModel.forward(inputs, data_samples=None, mode='tensor')
        named = {**dict(zip(("inputs", "data_samples", "mode"), args)), **kwargs}
        if named.get("mode") != "loss" or not model.training:
            return None
        records = self._backbone.take_records()
        if not records:
            raise RuntimeError("MetricLossHook: the model returned losses without running its guided backbone")
        labels = batch_labels(named["inputs"], named.get("data_samples"), self._guidance.labelling)
        losses = self._guidance(records, labels, statistics=self.log_stats, parts=self.log_parts, counts=self._counts)
        return {**outputs, **losses}
