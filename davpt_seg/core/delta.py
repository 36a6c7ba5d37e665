"""What a model adds to its frozen trunk, and which trunk that is: saved without it, and put together again."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any, Optional, Protocol

import torch
from torch import Tensor, nn

from ..errors import InputError
from .blocks import Trunk
from .quantization import names_as_in
from .record import RECORD, Record, Source

#: Positions are resampled to a trunk's grid, and the last digits of that depend on the machine.
POSITIONS = re.compile(r"(?:.*\.)?(?:pos_embed|relative_position_bias_table)")


class Origin:
    """Which weights a trunk has: where they came from, and digests of their values, computed once for each tensor.

    Attributes:
        source: where they came from; None where that is unknown.
    """

    def __init__(self, source: Optional[Source] = None) -> None:
        self.source = source
        self._known: dict[str, tuple[Any, str]] = {}
        self._given: dict[str, str] = {}  # digests by name of values that are stored in another type
        self._stored: dict[str, str] = {}  # digests of these as they are stored

    def pin(self, trunk: nn.Module) -> None:
        """Keep the digests of a trunk's present tensors, before they are stored in another type; not on meta."""
        state = trunk.state_dict()
        if not any(value.is_meta for value in state.values()):
            self._given = {name: self.digest(name, value) for name, value in _by_original(state)}

    def stored(self, trunk: nn.Module) -> None:
        """Keep the digests of the tensors that :meth:`pin` saw as they are stored now; other values are others."""
        named = _by_original(trunk.state_dict())
        self._stored = {name: self._digest(name, value) for name, value in named if name in self._given}

    def digest(self, name: str, value: Tensor) -> str:
        """Return the SHA-256 of a tensor's type, shape and bytes, by its name in the trunk, before it was stored."""
        found = self._digest(name, value)
        return self._given[name] if name in self._given and self._stored.get(name) == found else found

    def _digest(self, name: str, value: Tensor) -> str:
        version = None if value.is_inference() else value._version
        key = (value.data_ptr(), version, value.dtype, value.shape)
        if name not in self._known or self._known[name][0] != key:
            data = value.detach().cpu().contiguous()
            found = hashlib.sha256(f"{data.dtype} {tuple(data.shape)} ".encode())
            found.update(data.reshape(-1).view(torch.uint8).numpy().data)
            self._known[name] = (key, found.hexdigest())
        return self._known[name][1]


def origin_of(trunk: Trunk) -> Origin:
    """Return the origin that a trunk remembers; an unknown one is made, and remembered, where it has none."""
    found = getattr(trunk, "origin", None)
    if found is None:
        found = Origin()
        trunk.origin = found  # type: ignore[assignment]
    return found


class Adapted(Protocol):
    """What is asked of a prompted ViT."""

    trunk: Trunk
    learned_in_trunk: frozenset[str]

    def require_weights(self, record: Record) -> None:
        """Read the trunk's weights from their source, if there is one and they still wait to be read."""

    def state_dict(self) -> dict[str, Tensor]:
        """Return all tensors by name."""


def frozen_names(model: Adapted) -> set[str]:
    """Return the names, in the state dict of a prompted ViT, of the trunk's tensors that nothing trains."""
    trained = {name for name, parameter in model.trunk.named_parameters() if parameter.requires_grad}
    return {f"trunk.{name}" for name in model.trunk.state_dict() if name not in trained | model.learned_in_trunk}


def fingerprint(trunk: Trunk, names: Iterable[str]) -> str:
    """Return one SHA-256 of the names, types, shapes and bytes of a trunk's tensors.

    It is that of the float32 weights where these are stored in half precision or in int8, so that one fingerprint fits
    all. Positions are not part of it, since they are resampled; see :data:`POSITIONS`.

    Args:
        trunk: the ViT.
        names: names in its state dict.
    """
    origin, state = origin_of(trunk), trunk.state_dict()
    wanted = {name: state[name] for name in names}
    lines = [f"{name} {origin.digest(name, value)}" for name, value in _by_original(wanted)]
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def _by_original(state: Mapping[str, Tensor]) -> list[tuple[str, Tensor]]:
    """Return a trunk's tensors, without positions, by the names that they have where no layer is int8."""
    found = []
    for name, value in state.items():
        if name.endswith(".weight_scale") and name.removesuffix("scale") + "int8" in state:
            continue
        if not POSITIONS.fullmatch(name):
            found.append((name.removesuffix("_int8") if name.endswith(".weight_int8") else name, value))
    return found


def record_of(model: Adapted) -> Record:
    """Describe the frozen trunk of a prompted ViT.

    Raises:
        InputError: the model is folded, so that its trunk is not the one that it was trained on.
    """
    if getattr(model, "folded", None) is not None:
        raise InputError(
            "a folded model is complete only with its own ViT, into which what was learned was folded: save it before "
            "fold(), or save all of its state_dict()"
        )
    names = {name.removeprefix("trunk.") for name in frozen_names(model)}
    return Record(fingerprint(model.trunk, names), origin_of(model.trunk).source)


def without_frozen(module: nn.Module, state: MutableMapping[str, Any], prefix: str = "") -> None:
    """Take the frozen trunks of all prompted ViTs in a module out of its state dict, in place, and record which.

    Args:
        module: segmentor, classifier, or prompted ViT.
        state: its tensors by name.
        prefix: prefix of the module's names in ``state``: ``module.`` of an averaged model.

    Raises:
        InputError: see :func:`record_of`.
    """
    for where, model in prompted_vits(module):
        frozen = frozen_names(model)
        if not frozen:
            continue
        start = prefix + where
        state[start + RECORD] = record_of(model).encode()
        for name in frozen:
            state.pop(start + name, None)


def put_back(model: Adapted, state: MutableMapping[str, Any], prefix: str = "") -> None:
    """Put the frozen trunk of a prompted ViT into a state dict that was saved without it, in place.

    Nothing happens to a state dict with a trunk. The model may train other parameters of its trunk than the one that
    was saved.

    Args:
        model: with the trunk, or with the name of its source.
        state: tensors by name.
        prefix: prefix of the model's names in ``state``.

    Raises:
        InputError: the model's trunk is another one, or its weights cannot be read.
    """
    value = state.pop(prefix + RECORD, None)
    if value is None:
        return
    record = Record.decode(value)
    model.require_weights(record)
    given = _below(prefix, state)
    own = names_as_in(given, model.state_dict())
    missing = {name for name in own if name.startswith("trunk.") and name not in given}
    found = fingerprint(model.trunk, (name.removeprefix("trunk.") for name in missing))
    if found != record.fingerprint:
        here = origin_of(model.trunk).source
        raise InputError(
            f"this was saved without its frozen ViT and needs {record}; the ViT here is another one, with "
            f"{f'the weights {here}' if here else 'random weights, or weights of unknown source'} (fingerprint "
            f"{found[:12]}). {record.advice}"
        )
    state.update({prefix + name: own[name] for name in missing})


def same_trunk(model: Adapted, state: Mapping[str, Any], prefix: str = "") -> bool:
    """Return whether what a state dict holds of a prompted ViT's frozen trunk is what the model has.

    Args:
        model: the prompted ViT.
        state: tensors by name, in the types that the model stores them in or others.
        prefix: prefix of the model's names in ``state``.
    """
    given = _below(prefix, state)
    own = names_as_in(given, model.state_dict())
    trained = {f"trunk.{name}" for name in model.learned_in_trunk}
    names = [name for name in own if name.startswith("trunk.") and name in given and name not in trained]
    return all(_same(name, state[prefix + name], own[name]) for name in names)


def changed_by(model: Adapted, state: Mapping[str, Any], prefix: str = "") -> set[str]:
    """Return the names of a trunk's tensors that a state dict would change, also in their last digits.

    Args:
        model: the prompted ViT.
        state: tensors by name.
        prefix: prefix of the model's names in ``state``.
    """
    given = _below(prefix, state)
    own = names_as_in(given, model.state_dict())
    names = [name for name in own if name.startswith("trunk.") and name in given]
    return {name.removeprefix("trunk.") for name in names if not _same("", state[prefix + name], own[name])}


def _same(name: str, value: Tensor, own: Tensor) -> bool:
    if value.shape != own.shape or not _has_values(value) or not _has_values(own):
        return False
    if value.is_floating_point() != own.is_floating_point():  # an int8 layer and the weight before rounding
        return False
    value = value.to(own.device, own.dtype)
    return torch.allclose(value, own, rtol=1e-4, atol=1e-5) if POSITIONS.fullmatch(name) else torch.equal(value, own)


def _has_values(tensor: Tensor) -> bool:
    """Return whether this process has a tensor's values: FSDP2 shards some, and the meta device has none."""
    return not (tensor.is_meta or hasattr(tensor, "device_mesh"))


def _below(prefix: str, state: Mapping[str, Any]) -> set[str]:
    return {name.removeprefix(prefix) for name in state if name.startswith(prefix)}


def prompted_vits(module: nn.Module) -> list[tuple[str, Any]]:
    """Return the prompted ViTs in a module, each with the prefix of its names: ``backbone.``, or nothing."""
    found = [(name, each) for name, each in module.named_modules() if hasattr(each, "learned_in_trunk")]
    return [(f"{name}." if name else "", each) for name, each in found]
