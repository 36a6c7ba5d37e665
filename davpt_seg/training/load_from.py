"""What ``load_from`` fills of a model; MMEngine forgives a file that fills nothing."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from mmengine.runner import CheckpointLoader, Runner
from torch import Tensor, nn

from ..core.adapters.old_lora import current_name
from ..core.delta import origin_of, put_back
from ..core.quantization import names_as_in
from ..core.record import RECORD
from ..core.weights import UNREADABLE
from ..core.weights.table import identify
from ..engine.guided import bare_model
from ..errors import InputError, some
from ..models import PromptedViTBackbone
from .trained_checkpoint import named

logger = logging.getLogger("davpt_seg")


def check_load_from(runner: Runner, path: str) -> None:
    """Report what a file of weights fills of the model, before training.

    Args:
        runner: with the model.
        path: the config's ``load_from``; a file, or an address that MMEngine reads.

    Raises:
        InputError: an unreadable file, one that fills nothing, one without the ViT's weights where the ViT has no other
            source, or prompts of another ``start``; the message names the keys to set instead.
    """
    model = bare_model(runner)
    state = _read(path)
    sources = _put_trunks_back(model, state, path)
    own = names_as_in(state, model.state_dict())
    other_shape = [name for name in state if name in own and own[name].shape != state[name].shape]
    taken = {name for name in state if name in own and name not in other_shape}
    unknown = [name for name in state if name not in own]
    missing = [name for name in own if name not in taken]
    counts = (
        f"load_from {path}: {len(taken)} of its {len(state)} tensors are taken{sources}"
        f"{_some('not in the model', unknown)}{_some('of another shape than the model has', other_shape)}"
        f"{_some('of the model not taken from it', missing)}"
    )
    if not taken:
        raise InputError(f"{counts}. {_advice(path, state, model)}")
    for name, backbone in _backbones(model):
        trunk = [key for key in _trunk_names(own, name) if key in missing]
        if trunk and not backbone.has_source:
            raise InputError(
                f"{counts}. The ViT gets no other weights, so {len(trunk)} of its tensors would stay random "
                f"({some(trunk)}). {_advice(path, state, model)}"
            )
        _check_start(counts, [key for key in taken if key.startswith(name)], state, own)
    log = logger.warning if other_shape else logger.info
    log("%s", counts)


def _put_trunks_back(model: nn.Module, state: dict[str, Tensor], path: str) -> str:
    """Complete a checkpoint that was saved without its frozen ViTs, in place, from the model's own sources.

    Returns:
        where they came from, for the log.

    Raises:
        InputError: the model's ViT is another one.
    """
    sources = []
    for name, backbone in _backbones(model):
        prefix = f"{name}." if name else ""
        if prefix + RECORD in state:
            with named(path, "load_from"):
                put_back(backbone, state, prefix)
            sources.append(str(origin_of(backbone.trunk).source))
    return f", its frozen ViT from the weights {' and '.join(sources)}" if sources else ""


def _check_start(counts: str, taken: Iterable[str], state: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Refuse prompts that were trained with another ``start``: read in another way, they are another model."""
    if not any(".prompts.values." in name or ".key_value_prompts.values." in name for name in taken):
        return
    of_file, of_model = _start(state), _start(own)
    if of_file != of_model:
        raise InputError(
            f"{counts}. The file's prompts have start={of_file!r} and the model's start={of_model!r}, which reads them "
            f"in another way, so training would start from neither model: set prompts start={of_file!r}, or omit "
            "load_from"
        )


def _start(names: Iterable[str]) -> str:
    """Return how prompts join the attention, from what a model with them holds."""
    names = list(names)
    if any(".prompts.initial." in name or ".key_value_prompts.initial." in name for name in names):
        return "offset"
    return "gate" if any(".prompts.head_gates." in name for name in names) else "joint"


def _read(path: str) -> dict[str, Tensor]:
    """Read named tensors as MMEngine does."""
    try:
        content = CheckpointLoader.load_checkpoint(path, map_location="cpu")
    except UNREADABLE as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"load_from: file {path!r} cannot be read: {reason}") from error
    state = content.get("state_dict", content) if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"load_from: file {path!r} holds no named tensors; give a checkpoint of a training")
    return {current_name(name): value for name, value in state.items()}


def _backbones(model: nn.Module) -> list[tuple[str, PromptedViTBackbone]]:
    return [(name, module) for name, module in model.named_modules() if isinstance(module, PromptedViTBackbone)]


def _trunk_names(own: Mapping[str, Any], name: str) -> list[str]:
    prefix = f"{name}.trunk." if name else "trunk."
    return [key for key in own if key.startswith(prefix)]


def _advice(path: str, state: Mapping[str, Tensor], model: nn.Module) -> str:
    """Return advice about a file by what it holds: a complete model, a ViT alone, heads or prompts alone."""
    if not state:
        return "The file holds no weights; give another one"
    own = model.state_dict()
    for prefix in _prefixes(state):
        named = [name for name in state if name.startswith(prefix)]
        if sum(name.removeprefix(prefix) in own for name in named) > len(state) / 2:
            return f"Its names begin with {prefix!r}, the model's do not: write a file without it"
    taken = [name for name in state if name in own and own[name].shape == state[name].shape]
    for name, _ in _backbones(model):
        key = f"model.{name}" if name else "model"
        beside = f"name the ViT's weights beside load_from: --cfg-options {key}.weights=PATH or {key}.pretrained=True"
        trunk = _trunk_names(own, name)
        if any(each in state for each in trunk):
            return (
                f"The file holds {sum(each in taken for each in trunk)} of the ViT's {len(trunk)} tensors in the "
                f"model's shapes: it is incomplete, or of another ViT. Give the complete file, set {key}.model_name "
                f"and {key}.timm_kwargs to those of the file, or {beside}"
            )
        if _holds_a_vit(state, path):
            return (
                f"A file of a ViT alone (timm, DINOv2, MAE, CLIP, ...) belongs in {key}.weights: --cfg-options "
                f"{key}.weights={path} and no load_from (docs/weights.md)"
            )
        if taken:
            return f"The file holds {some(_parts(taken, name))} and no ViT: keep it, and {beside}"
    return f"The file's names are {some(state)}, the model's {some(own)}: give a file of a model like this one"


def _holds_a_vit(state: Mapping[str, Tensor], path: str) -> bool:
    try:
        identify(state, path)
    except InputError:
        return False
    return True


def _parts(names: Iterable[str], backbone: str) -> list[str]:
    """Name the parts of a model that parameters are in: its heads, and what its backbone has beside the ViT."""
    deep = len(backbone.split(".")) + 1 if backbone else 1
    found = (name.split(".")[: deep if name.startswith(f"{backbone}.") else 1] for name in names)
    return list(dict.fromkeys(".".join(part) for part in found))


def _prefixes(names: Iterable[str]) -> list[str]:
    first = Counter(f"{name.partition('.')[0]}." for name in names)
    return [prefix for prefix, _ in first.most_common()]


def _some(what: str, names: list[str]) -> str:
    return f"; {len(names)} {what} ({some(names)})" if names else ""
