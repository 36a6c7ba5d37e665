"""Hook that logs which parameters are trained."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from ..core.adapters.old_lora import current_key
from ..core.tuning import trained_table
from ..errors import nearest
from .guided import bare_model

PARTS = ("neck", "_head", "prompts")  # our schedules set rates of these even if a model has none


@HOOKS.register_module()
class TrainedTableHook(Hook):
    """Log before training each kind of trained parameters, with counts and shares.

    Keys of ``optim_wrapper.paramwise_cfg.custom_keys`` that match no parameter, which MMEngine ignores, give a warning.
    """

    def before_train(self, runner: Runner) -> None:
        """Log the table and the warnings."""
        model = bare_model(runner)
        lines = [trained_table(model)]
        for name, part in model.named_children():
            total = sum(p.numel() for p in part.parameters())
            trained = sum(p.numel() for p in part.parameters() if p.requires_grad)
            if total:
                lines.append(f"  {name}: {trained:,} of {total:,} trained")
        runner.logger.info("\n".join(lines))
        for problem in unmatched_keys(runner.cfg, [name for name, _ in model.named_parameters()]):
            runner.logger.warning(problem)


def unmatched_keys(cfg: Config, names: Collection[str]) -> Iterator[str]:
    """Describe each custom key of the optimizer's config that matches no parameter's name, with similar names.

    Args:
        cfg: config of a training.
        names: names of the model's parameters.
    """
    keys = ((cfg.get("optim_wrapper") or {}).get("paramwise_cfg") or {}).get("custom_keys") or {}
    for key in keys:
        if any(key in name for name in names) or key.rpartition(".")[2] in PARTS:
            continue
        current = current_key(key)
        if any(current in name for name in names):
            meant = f"LoRA's parameters have other names since version 0.3: write {current!r}"
        else:
            meant = nearest(key, names, f"the model has {len(names)} parameters, as logged above")
        yield f"optim_wrapper.paramwise_cfg.custom_keys {key!r} matches no parameter and changes nothing; {meant}"
