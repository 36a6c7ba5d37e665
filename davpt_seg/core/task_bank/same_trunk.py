"""Whether a model's trunk is the bank's, and which of its parameters are its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

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
PLAIN = (bool, int, float, str, tuple)


class Stored(NamedTuple):
    """A tensor of a trunk, and its name there, which is another one in int8."""

    name: str
    value: Tensor

    def is_at(self, other: Stored) -> bool:
        """Return whether two are the same memory."""
        one, two = self.value, other.value
        return one.data_ptr() == two.data_ptr() and one.shape == two.shape and one.dtype == two.dtype

    def equals(self, other: Stored) -> bool:
        """Return whether two have the same values."""
        one, two = self.value, other.value
        return one.dtype == two.dtype and torch.equal(one.to(two.device), two)


class SameTrunk:
    """Compares the trunks of models with a bank's.

    Args:
        trunk: the bank's.
    """

    def __init__(self, trunk: Trunk) -> None:
        self.trunk = trunk
        self._stored = _stored(trunk)
        self._structure = _structure(trunk, self._stored)

    def own_parameters(self, model: PromptedViT) -> dict[str, Tensor]:
        """Check that what is frozen in a model's trunk is the bank's, and return what is not the bank's, by name.

        That is what the model tuned, and positions that were resampled to other last digits. Tensors that both share
        in memory are the same; of others, fingerprints are compared, which takes as long as reading the weights.

        Raises:
            InputError: another trunk.
        """
        theirs = _stored(model.trunk)
        self._require_structure(_structure(model.trunk, theirs))
        apart = {name for name, each in theirs.items() if not each.is_at(self._stored[name])}
        if not apart:
            return {}
        frozen = {name.removeprefix("trunk.").removesuffix("_int8") for name in frozen_names(model)}
        self._require_values(model.trunk, theirs, frozen & apart)
        own = [name for name in sorted(apart) if name not in frozen or POSITIONS.fullmatch(name)]
        own = [name for name in own if not theirs[name].equals(self._stored[name])]
        if rounded := [name for name in own if self._stored[name].name != name]:
            raise InputError(
                f"the model tunes {some(rounded)}, which this bank stores in int8; make the bank of a ViT without "
                "trunk_quantization"
            )
        return {name: theirs[name].value for name in own}

    def _require_structure(self, structure: Mapping[str, Any]) -> None:
        own = self._structure
        wrong = [name for name in {**own, **structure} if own.get(name) != structure.get(name)]
        if wrong:
            differences = [f"{name} {structure.get(name)}, the bank's {own.get(name)}" for name in wrong]
            raise InputError(
                f"the model's ViT is built otherwise than the bank's ({some(differences, 3, '; ')}); build it with the "
                "model_name and timm_kwargs of the bank's"
            )

    def _require_values(self, trunk: Trunk, theirs: Mapping[str, Stored], names: set[str]) -> None:
        found = fingerprint(trunk, (theirs[name].name for name in names))
        expected = fingerprint(self.trunk, (self._stored[name].name for name in names))
        if found != expected:
            weights = [f"{origin_of(each).source or 'of unknown source'}" for each in (trunk, self.trunk)]
            raise InputError(
                f"the model's frozen ViT is another one than the bank's. Its weights are {weights[0]} (fingerprint "
                f"{found[:12]}), the bank's {weights[1]} ({expected[:12]}); build the model on the bank's: "
                "PromptedViT(model_name, weights=bank.model, ...)"
            )


def _stored(trunk: Trunk) -> dict[str, Stored]:
    """Return a trunk's tensors by the names that they have where nothing is in int8."""
    state = trunk.state_dict()
    scales = {name.removesuffix("int8") + "scale" for name in state if name.endswith(".weight_int8")}
    return {name.removesuffix("_int8"): Stored(name, value) for name, value in state.items() if name not in scales}


def _structure(trunk: Trunk, stored: Mapping[str, Stored]) -> dict[str, Any]:
    """Return the shapes of a trunk's tensors, the types of its modules and their plain attributes, by name."""
    found: dict[str, Any] = {name: tuple(each.value.shape) for name, each in stored.items()}
    for name, module in trunk.named_modules():
        if not isinstance(module, OF_TRAINING):
            found[f"{name} type"] = "Linear" if isinstance(module, Int8Linear) else type(module).__name__
            for key, value in vars(module).items():
                if key != "training" and isinstance(value, PLAIN):
                    found[f"{name}.{key}"] = value
    return found
