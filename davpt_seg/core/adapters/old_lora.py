"""Names and order of LoRA's parameters in checkpoints up to version 0.3, where peft had put them into the trunk."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from .lora import layer_key

LAYERS = "adapters.lora.layers."
OLD_NAME = re.compile(r"trunk\.(blocks\.\d+\..+)\.(lora_[AB])\.default\.weight")
WRAPPED = re.compile(r"(trunk\.blocks\.\d+\..+)\.base_layer\.")  # in named_parameters(), but not in state dicts


def current_name(name: str) -> str:
    """Return the current name of a parameter of an old model; names that did not change stay."""
    name = WRAPPED.sub(r"\1.", name)
    return OLD_NAME.sub(lambda found: f"{LAYERS}{layer_key(found[1])}.{found[2]}", name)


def current_key(key: str) -> str:
    """Return the current form of a name or of a part of one, such as ``lora_A.default`` or ``attn.qkv.lora_A``."""
    key = re.sub(r"\.default(\.weight)?$", "", current_name(key)).replace(".base_layer", "")
    layer, found, own = key.rpartition(".lora_")
    if not found or LAYERS in key:
        return key
    return f"{layer_key(layer.partition('trunk.')[2] or layer)}.lora_{own}"


def has_old_names(names: Iterable[str]) -> bool:
    """Return whether one of the names is an old name of a LoRA parameter."""
    return any(OLD_NAME.search(name) for name in names)


def take_old_names(state: dict[str, Any], prefix: str, *args: Any) -> None:
    """Rename LoRA's tensors below ``prefix`` of an old state dict, in place; a pre-hook of ``load_state_dict``."""
    for name in [name for name in state if name.startswith(prefix) and OLD_NAME.fullmatch(name[len(prefix) :])]:
        state[prefix + current_name(name[len(prefix) :])] = state.pop(name)


def old_order(names: Sequence[str]) -> list[str]:
    """Sort current names of a model's parameters in the order of an old model: LoRA's follow those of their layer."""
    layer_ends: dict[str, int] = {}
    for i, name in enumerate(names):
        before, trunk, own = name.partition("trunk.")
        if trunk:
            layer_ends[before + LAYERS + layer_key(own.rpartition(".")[0])] = i
    places = {name: (layer_ends.get(name.rpartition(".")[0], i), i) for i, name in enumerate(names)}
    return sorted(names, key=lambda name: places[name])
