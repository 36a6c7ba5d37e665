"""Whether a model's trunk is the bank's, and which of its parameters are its own."""

from __future__ import annotations

from typing import Any

import torch
from timm.layers import DropPath
from torch import Tensor, nn

from ...errors import InputError, some
from ..blocks import Trunk
from ..delta import POSITIONS, fingerprint, frozen_names, origin_of
from ..quantization import Int8Linear
from ..vit import PromptedViT

#: They do nothing in eval mode, so that models may differ in them.
OF_TRAINING = (nn.Identity, nn.Dropout, DropPath)


def own_parameters_of(model: PromptedViT, trunk: Trunk) -> dict[str, Tensor]:
    """Check that what is frozen in a model's trunk is the bank's, and return what is not, by name.

    That is what the model tuned, and positions that were resampled to other last digits. Tensors that both share in
    memory are the same; of others, fingerprints are compared, which takes as long as reading the weights.

    Args:
        model: model of a task.
        trunk: the bank's.

    Raises:
        InputError: another trunk.
    """
    _require_same_structure(model.trunk, trunk)
    theirs, own = _by_float_name(model.trunk), _by_float_name(trunk)
    frozen = {name.removeprefix("trunk.").removesuffix("_int8") for name in frozen_names(model)}
    apart = {name for name in theirs.keys() & own.keys() if not _same_memory(theirs[name][1], own[name][1])}
    _require_same_values(model.trunk, trunk, sorted(frozen & apart), theirs, own)
    kept = {}
    for name in sorted(apart - frozen | {name for name in apart if POSITIONS.fullmatch(name)}):
        stored, (bank_name, bank_value) = theirs[name][1], own[name]
        if stored.dtype != bank_value.dtype or not torch.equal(stored.to(bank_value.device), bank_value):
            if bank_name != name:
                raise InputError(
                    f"the model tunes {name}, which this bank stores in int8; build the bank on a ViT without "
                    "trunk_quantization"
                )
            kept[name] = stored
    return kept


def _by_float_name(trunk: Trunk) -> dict[str, tuple[str, Tensor]]:
    """Return a trunk's tensors and their names, by the names that they have where nothing is in int8."""
    state = trunk.state_dict()
    scales = {name.removesuffix("int8") + "scale" for name in state if name.endswith(".weight_int8")}
    return {name.removesuffix("_int8"): (name, value) for name, value in state.items() if name not in scales}


def _same_memory(one: Tensor, other: Tensor) -> bool:
    return one.data_ptr() == other.data_ptr() and one.shape == other.shape and one.dtype == other.dtype


def _require_same_values(
    trunk: Trunk,
    bank: Trunk,
    names: list[str],
    theirs: dict[str, tuple[str, Tensor]],
    own: dict[str, tuple[str, Tensor]],
) -> None:
    found = fingerprint(trunk, (theirs[name][0] for name in names))
    expected = fingerprint(bank, (own[name][0] for name in names))
    if found != expected:
        raise InputError(
            f"the model's frozen ViT is another one than the bank's. Its weights are "
            f"{origin_of(trunk).source or 'of unknown source'} (fingerprint {found[:12]}), the bank's "
            f"{origin_of(bank).source or 'of unknown source'} ({expected[:12]}); build the model on the bank's: "
            "PromptedViT(model_name, weights=bank.model, ...)"
        )


def _require_same_structure(trunk: Trunk, bank: Trunk) -> None:
    theirs, own = _structure(trunk), _structure(bank)
    wrong = [
        f"{name or 'the ViT'} {key}: {theirs.get(name, {}).get(key)}, the bank's {own.get(name, {}).get(key)}"
        for name in {**theirs, **own}
        for key in {**theirs.get(name, {}), **own.get(name, {})}
        if theirs.get(name, {}).get(key) != own.get(name, {}).get(key)
    ]
    if wrong:
        raise InputError(
            f"the model's ViT is built otherwise than the bank's ({some(wrong, 3, '; ')}); build it with the "
            "model_name and timm_kwargs of the bank's"
        )


def _structure(trunk: Trunk) -> dict[str, dict[str, Any]]:
    """Return the types of a trunk's modules, the shapes of their parameters and all plain attributes."""
    found = {}
    for name, module in trunk.named_modules():
        if not isinstance(module, OF_TRAINING):
            plain = {
                key: value for key, value in vars(module).items() if isinstance(value, (bool, int, float, str, tuple))
            }
            plain.pop("training")
            kind = "Linear" if isinstance(module, Int8Linear) else type(module).__name__
            found[name] = {"type": kind, **plain}
    for name, (_, value) in _by_float_name(trunk).items():
        found[name] = {"shape": tuple(value.shape)}
    return found
