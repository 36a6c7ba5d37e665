"""Hook that logs more curves of a training: rates, IoU of each class, and what prompts add."""

from __future__ import annotations

import copy
from typing import Any, Optional

from mmengine.dist import is_main_process
from mmengine.hooks import Hook, LoggerHook
from mmengine.optim import OptimWrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from mmengine.visualization import TensorboardVisBackend

from ..models.prompted_vit import PromptedViTBackbone
from ..visualization.prompt_effect import MEASURES, prompt_effect
from .class_ious import class_ious
from .guided import bare_model
from .keyed_random import same_random_state_afterwards
from .rates import rates


@HOOKS.register_module()
class CurvesHook(Hook):
    """Log scalars that MMEngine does not, to all backends of the visualizer; training results are unchanged.

    - ``lr/PART``: learning rate, if parts of the model have several, at the interval of ``LoggerHook``.
    - ``IoU/CLASS``: percent, at each validation of a segmentor.
    - ``prompt_share/block_I`` or, of zero-start prompts, ``prompt_contribution/block_I``: what prompts add to the
      attention of block I, counted from 0, mean over the patches of the first images of the validation data
      (:func:`~davpt_seg.visualization.prompt_effect.prompt_effect`).

    Args:
        images: largest number of images for what prompts add; they are of the first batch.
    """

    def __init__(self, images: int = 4) -> None:
        self.images = images
        self._interval = 10
        self._backbone: Optional[PromptedViTBackbone] = None
        self._scalars: dict[str, float] = {}

    def before_train(self, runner: Runner) -> None:
        """Read the interval of the log; let TensorBoard drop what a resumed training repeats."""
        loggers = [hook for hook in runner.hooks if isinstance(hook, LoggerHook)]
        self._interval = loggers[0].interval if loggers else self._interval
        self._backbone = next((m for m in bare_model(runner).modules() if isinstance(m, PromptedViTBackbone)), None)
        if runner.iter and is_main_process():  # another one would begin a file of its own
            for name in getattr(runner.visualizer, "_vis_backends", {}):
                backend = runner.visualizer.get_backend(name)
                if isinstance(backend, TensorboardVisBackend):
                    _drop_from(backend, runner.iter + 1)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Optional[dict[str, Any]] = None
    ) -> None:
        """Log the rates."""
        if self.every_n_inner_iters(batch_idx, self._interval) and isinstance(runner.optim_wrapper, OptimWrapper):
            found = rates(bare_model(runner), runner.optim_wrapper.param_groups)
            if len(found) > 1:
                named = {f"lr/{part}": rate for part, rate in found.items()}
                runner.visualizer.add_scalars(named, step=runner.iter + 1)

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Measure the prompts on the first batch, and read the counts of classes after the last one."""
        if batch_idx == 0 and self._backbone is not None and self._backbone.prompts is not None:
            with same_random_state_afterwards():
                data = bare_model(runner).data_preprocessor(copy.deepcopy(data_batch), False)
                measure = MEASURES[self._backbone.starts_at_zero]
                effect = prompt_effect(self._backbone, data["inputs"][: self.images])
            self._scalars.update({f"{measure}/block_{block:02d}": value for block, value in effect.items()})
        if batch_idx + 1 == len(runner.val_dataloader):
            self._scalars.update({f"IoU/{name}": iou for name, iou in class_ious(runner).items()})

    def after_val_epoch(self, runner: Runner, metrics: Optional[dict[str, float]] = None) -> None:
        """Log what was measured in a validation."""
        if self._scalars:
            runner.visualizer.add_scalars(self._scalars, step=runner.iter)
        self._scalars = {}


def _drop_from(backend: TensorboardVisBackend, step: int) -> None:
    """Mark a restart, after which TensorBoard hides earlier events from a step on, as ``SummaryWriter`` does."""
    from tensorboard.compat.proto.event_pb2 import Event, SessionLog

    writer = backend.experiment.file_writer
    writer.add_event(Event(step=step, file_version="brain.Event:2"))
    writer.add_event(Event(step=step, session_log=SessionLog(status=SessionLog.START)))
