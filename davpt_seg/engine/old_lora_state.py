"""Conversion of optimizer states of checkpoints up to version 0.3, where LoRA's parameters had another order."""

from __future__ import annotations

from itertools import chain
from typing import Any

from mmengine.optim import OptimWrapper
from torch import nn

from ..core.adapters.old_lora import current_name, has_old_names, old_order


def use_current_order(checkpoint: dict[str, Any], model: nn.Module, wrapper: Any) -> None:
    """Convert the optimizer's state of an old checkpoint with LoRA to the current order of parameters, in place.

    Names change, too, so that a second call changes nothing.

    An optimizer stores states by the index of parameters, so without conversion other parameters would get them.
    Schedules and the gradients of an unfinished accumulation are converted, too. A state whose groups of parameters
    differ from the model's is unchanged, and a resume refuses it.

    Args:
        checkpoint: checkpoint of any version; the names in its ``state_dict`` identify an old one.
        model: model that resumes from it.
        wrapper: wrapper of the model's new optimizer; one that is no OptimWrapper is skipped.
    """
    if not isinstance(wrapper, OptimWrapper) or not has_old_names(checkpoint.get("state_dict", ())):
        return
    kept = checkpoint.get("exact_resume") or {}
    for named in (checkpoint["state_dict"], checkpoint.get("ema_state_dict", {}), kept.get("gradients", {})):
        for name in [name for name in named if current_name(name) != name]:
            named[current_name(name)] = named.pop(name)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    new = [[names[id(parameter)] for parameter in group["params"]] for group in wrapper.optimizer.param_groups]
    place = {name: i for i, name in enumerate(old_order(list(names.values())))}
    order = sorted(range(len(new)), key=lambda i: min(place[name] for name in new[i]))  # which group came first, ...
    old = [sorted(new[i], key=lambda name: place[name]) for i in order]
    saved = checkpoint.get("optimizer") or {}
    if [len(group) for group in old] != [len(group["params"]) for group in saved.get("param_groups", ())]:
        return
    index = {name: i for i, name in enumerate(chain.from_iterable(new))}
    old_names = list(chain.from_iterable(old))
    saved["state"] = {index[old_names[i]]: state for i, state in saved["state"].items()}
    groups = dict(zip(order, saved["param_groups"]))
    saved["param_groups"] = [dict(groups[i], params=[index[name] for name in group]) for i, group in enumerate(new)]
    for schedule in checkpoint.get("param_schedulers") or ():
        for key in ("base_values", "_last_value"):
            values = dict(zip(order, schedule[key]))
            schedule[key] = [*(values[i] for i in range(len(new))), *schedule[key][len(new) :]]
