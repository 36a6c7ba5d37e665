"""Hook that applies the current config's rates to a resumed training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner

from .guided import bare_model
from .old_lora_state import use_current_order


class ResumedRatesHook(Hook):
    """Replace learning rate, decay and momentum of a resumed checkpoint by those of the config.

    MMEngine ignores the config's values and uses the checkpoint's. Schedules continue, scaled to the new rate.
    Unchanged values have no effect. ``tools/train.py`` adds this hook.
    """

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Change the checkpoint before MMEngine reads its optimizer."""
        saved = checkpoint.get("optimizer")
        if not runner._resume or not saved or not isinstance(runner.optim_wrapper, OptimWrapper):
            return
        use_current_order(checkpoint, bare_model(runner), runner.optim_wrapper)  # for runs without ExactResumeHook
        use_rates(saved, checkpoint.get("param_schedulers") or (), runner.optim_wrapper.param_groups)


def use_rates(saved: dict[str, Any], schedules: Sequence[dict[str, Any]], groups: Sequence[Mapping[str, Any]]) -> None:
    """Replace saved settings of parameter groups, in place.

    Args:
        saved: state of an optimizer wrapper.
        schedules: states of its parameter schedulers.
        groups: groups of the new optimizer wrapper, in the same order.
    """
    old_groups = [*saved["param_groups"], *([saved["base_param_settings"]] if "base_param_settings" in saved else [])]
    for i, (old, new) in enumerate(zip(old_groups, groups)):
        for key, value in new.items():
            scheduled = key == "lr" or key.startswith("initial_") or f"initial_{key}" in new
            if key in old and key != "params" and not scheduled:
                old[key] = value
        before, now = (float(group.get("initial_lr", group["lr"])) for group in (old, new))
        if before == now:
            continue
        factor = now / before if before else 1.0
        old["lr"] = old["lr"] * factor if before else now
        if "initial_lr" in old:
            old["initial_lr"] = now
        for state in schedules:
            if state.get("param_name") == "lr":
                state["base_values"][i] = now
                state["_last_value"][i] *= factor
