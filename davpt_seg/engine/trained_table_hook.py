"""Prints what is trained."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from ..core.tuning import trained_table
from .guided import bare_model


@HOOKS.register_module()
class TrainedTableHook(Hook):
    """Log, before training, every kind of parameter that is trained, with counts and the share of the whole."""

    def before_train(self, runner: Runner) -> None:
        """Log the table."""
        model = bare_model(runner)
        runner.logger.info(trained_table(model))
        for name, part in model.named_children():
            total = sum(p.numel() for p in part.parameters())
            trained = sum(p.numel() for p in part.parameters() if p.requires_grad)
            if total:
                runner.logger.info(f"  {name}: {trained:,} of {total:,} trained")
