"""What checkpoints are saved without: the frozen trunks of a model, where they can be read again."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any, Optional

from torch import Tensor, nn

from ..core.delta import frozen_names, origin_of, prompted_vits, record_of, without_frozen
from ..core.weights.unpickling import tensors_of
from ..models.prompted_vit import PromptedViTBackbone

AVERAGED = "module."


def trunk_digests(model: nn.Module) -> dict[str, str]:
    """Return digests of the tensors of a model's trunks, by name, to compare those of a checkpoint with them."""
    return {
        f"{where}trunk.{name}": origin_of(vit.trunk).digest(name, value)
        for where, vit in prompted_vits(model)
        for name, value in vit.trunk.state_dict().items()
    }


def take_out_trunks(
    model: nn.Module, checkpoint: MutableMapping[str, Any], started: Optional[Mapping[str, str]] = None
) -> str:
    """Take the frozen trunks out of a checkpoint and of its averaged weights (``EMAHook``), in place.

    A checkpoint that could not be put together again stays complete.

    Args:
        model: segmentor or classifier, without what DistributedDataParallel wraps around it.
        checkpoint: what MMEngine saves.
        started: digests of the same trunks when training started, see :func:`trunk_digests`. What a hook trained for a
            while, and froze again, differs from them.

    Returns:
        What it holds, and where the rest comes from, for the log; nothing for a model without a frozen trunk.
    """
    trunks = [(where, vit, frozen_names(vit)) for where, vit in prompted_vits(model)]
    trunks = [each for each in trunks if each[2]]
    if not trunks:
        return ""
    state, averaged = checkpoint["state_dict"], checkpoint.get("ema_state_dict")
    frozen = [where + name for where, _, names in trunks for name in names]
    size = size_of({name: state[name] for name in frozen if name in state})
    reasons = [reason for _, vit, _ in trunks if (reason := _why_complete(vit))]
    now = trunk_digests(model) if started else {}
    if started and any(started[name] != now[name] for name in frozen if name in started):
        reasons.append("training changed parameters of it that are frozen now")
    if averaged is not None and not all(_same(averaged.get(AVERAGED + name), state.get(name)) for name in frozen):
        reasons.append("its average (EMAHook) is not that of the ViT")
    if reasons:
        return f"checkpoints hold the frozen ViT ({size / 1e6:,.1f} MB) too, because {reasons[0]}"
    without_frozen(model, state)
    if averaged is not None:
        without_frozen(model, averaged, AVERAGED)
    sources = dict.fromkeys(str(record_of(vit).source) for _, vit, _ in trunks)
    return (
        f"checkpoints hold what was trained, {size_of(checkpoint) / 1e6:,.1f} MB; the frozen ViT, {size / 1e6:,.1f} "
        f"MB, comes from the weights {' and '.join(sources)}"
    )


def size_of(content: Any) -> int:
    """Return the bytes of all tensors of nested dicts and lists."""
    return sum(value.numel() * value.element_size() for _, value in tensors_of(content))


def _why_complete(vit: Any) -> str:
    """Return why a ViT must be in its checkpoints; nothing where its weights can be read again."""
    if isinstance(vit, PromptedViTBackbone):
        if vit.can_be_read_again():
            return ""
        other = "it has other weights than those that its config names"
        return other if vit.has_source else "its config names no weights of it"
    return "" if origin_of(vit.trunk).source else "its weights are of unknown source"


def _same(value: Any, other: Any) -> bool:
    if not isinstance(value, Tensor) or not isinstance(other, Tensor):
        return False
    return value.shape == other.shape and bool((value.cpu() == other.cpu()).all())
