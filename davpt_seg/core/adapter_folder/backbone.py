"""The prompted ViT that an adapter folder describes, planned without values before it is built."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Union

import timm
import torch
from timm.models.beit import Beit
from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from ...errors import InputError, nearest
from ..arguments import plain
from ..blocks import Trunk
from ..delta import fingerprint, frozen_names
from ..record import Record
from ..trunk import WeightsSource, create_trunk
from ..vit import NOT_REMEMBERED, PromptedViT
from ..weights import WeightsFile
from ..weights.files import checked_path
from .config import AdapterConfig
from .places import Place

TrunkSource = Union[str, os.PathLike[str], Mapping[str, Any], nn.Module, None]

PRETRAINED = "pretrained"
MOST_BLOCKS = 128
LONGEST_VALUE = 200  # characters of an argument of timm's
#: How much larger than timm's own ViT of a name one with ``timm_kwargs`` may be: positions of larger images.
MOST_LARGER = 1.5
#: Arguments of timm's constructors that say where tensors are, and not how the ViT is built.
NOT_OF_SHAPE = {"self", "device", "dtype", "num_classes", "weight_init"}


def check_backbone(arguments: Mapping[str, Any], what: str) -> None:
    """Refuse arguments that name files or addresses, or that would build more than a ViT; nothing is built.

    Their values are checked where the ViT is built.

    Args:
        arguments: PromptedViT's arguments.
        what: place of them, for messages.

    Raises:
        InputError: an unknown argument, a ViT that is not timm's own, or more blocks than any ViT has.
    """
    known = [name for name in inspect.signature(PromptedViT).parameters if name not in NOT_REMEMBERED]
    for name in arguments:
        if name not in known:
            raise InputError(f"{what} has no argument {name[:80]!r}; {nearest(name[:80], known)}")
    model_name, timm_kwargs = arguments.get("model_name"), arguments.get("timm_kwargs") or {}
    if not isinstance(model_name, str) or not timm.is_model(model_name) or set(model_name) & set(":/\\"):
        raise InputError(
            f"{what}: model_name {str(model_name)[:80]!r} is none of timm's own, and no other is loaded: no file, and "
            "no address of a hub"
        )
    if not isinstance(timm_kwargs, dict):
        raise InputError(f"{what}: timm_kwargs must be a dict, got {str(timm_kwargs)[:80]!r}")
    for name, value in timm_kwargs.items():
        if name not in _shape_arguments():
            raise InputError(f"{what}: timm_kwargs has {name[:80]!r}, which is no argument of a ViT's shape")
        if name == "depth" and not (type(value) is int and 0 < value <= MOST_BLOCKS):
            raise InputError(f"{what}: timm_kwargs depth must be from 1 to {MOST_BLOCKS}, got {str(value)[:40]}")
        if not isinstance(value, (int, float, str, list, type(None))) or len(str(value)) > LONGEST_VALUE:
            raise InputError(f"{what}: timm_kwargs {name} must be a plain value, got {str(value)[:80]!r}")


@functools.cache
def _shape_arguments() -> frozenset[str]:
    kinds = (VisionTransformer, Eva, Beit)
    return frozenset(name for kind in kinds for name in inspect.signature(kind.__init__).parameters) - NOT_OF_SHAPE


def without_state(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments whose guidance takes no memory. What it reads decides which blocks are run and what is trained.

    Its numbers of classes and proxies decide neither, and the guidance is dropped from the built model.
    """
    guidance = arguments.get("guidance")
    if not isinstance(guidance, Mapping):
        return dict(arguments)
    counts = {name: 1 for name in ("num_classes", "num_prompts") if name in guidance}
    return {**arguments, "guidance": {**guidance, **counts}}


class Plan(PromptedViT):
    """A prompted ViT whose trunk waits for its weights, without a warning about that."""

    def _build_trunk(
        self, model_name: str, pretrained: bool, weights: WeightsSource, timm_kwargs: Mapping[str, Any]
    ) -> Trunk:
        if isinstance(weights, nn.Module):
            return super()._build_trunk(model_name, pretrained, weights, timm_kwargs)
        return create_trunk(model_name, False, timm_kwargs)


def planned(config: AdapterConfig, trunk: TrunkSource) -> Plan:
    """Build a folder's ViT on the meta device; with the tensors of a trunk that is shared."""
    shared = trunk if isinstance(trunk, nn.Module) else None
    with torch.device("meta"):
        return Plan(**backbone_arguments(config, trunk), weights=shared)  # type: ignore[misc]


def backbone_arguments(config: AdapterConfig, trunk: TrunkSource) -> dict[str, Any]:
    """Return the arguments of a folder's ViT; a trunk that is shared is stored as it is.

    Raises:
        InputError: a shared trunk of other ``timm_kwargs``.
    """
    arguments = dict(config.backbone) if config.mapping else without_state(config.backbone)
    if isinstance(trunk, PromptedViT):
        theirs, own = (each.get("timm_kwargs") or {} for each in (trunk.arguments, arguments))
        if theirs != own:
            raise InputError(f"it needs a ViT with timm_kwargs={own}, and the trunk given has {theirs}; build that one")
        for name in ("trunk_dtype", "trunk_quantization"):
            arguments[name] = trunk.arguments[name]
    return arguments


def expected_state(model: Any, mapping: bool, prefix: str = "backbone.") -> dict[str, Tensor]:
    """Return what a folder's file must hold of a prompted ViT, by name."""
    frozen = frozen_names(model)
    return {
        prefix + name: value
        for name, value in model.state_dict().items()
        if name not in frozen and (mapping or not name.startswith("guidance."))
    }


def trunk_of(source: Any, place: Place, record: Record, needed: bool) -> TrunkSource:
    """Return where a trunk's weights are: what a user gave, or the recorded file if it is next to the folder.

    Args:
        source: ``pretrained``, a weights file (a path, or the dict of one), a prompted ViT, or a model with one as its
            ``backbone``.
        place: folder.
        record: trunk that the folder needs.
        needed: whether a part of the trunk is not in the folder.

    Raises:
        InputError: none is given and none is there, or what is given is no trunk.
    """
    if isinstance(source, nn.Module):
        found = getattr(source, "backbone", source)
        if not isinstance(found, PromptedViT):
            raise InputError(
                f"trunk must be a weights file, 'pretrained' or a PromptedViT, got a {type(found).__name__}"
            )
        return found
    if source is not None or not needed:
        return source
    file = record.source.file if record.source else ""
    if file and os.path.basename(file) == file and place.beside(file).is_file() and not place.beside(file).is_symlink():
        return str(place.beside(file))
    download = "" if file or not record.source else ", or trunk='pretrained' (--trunk pretrained) to download them"
    raise InputError(f"it needs {record}, which it does not hold: give trunk=FILE (--trunk FILE){download}")


def check_size(plan: PromptedViT, trunk: TrunkSource) -> None:
    """Refuse a ViT that is larger than the weights that are given for it, before it is built.

    Raises:
        InputError: such a ViT, or a weights file that is none.
    """
    values = sum(each.numel() for each in (*plan.trunk.parameters(), *plan.trunk.buffers()))
    name = plan.arguments["model_name"]
    if trunk == PRETRAINED:
        with torch.device("meta"):
            own: Any = create_trunk(name, False, {})
        most = int(MOST_LARGER * sum(each.numel() for each in (*own.parameters(), *own.buffers())))
        against = f"timm's own {name!r}"
    elif isinstance(trunk, (str, Path, os.PathLike, Mapping)):
        path = checked_path(WeightsFile.of(trunk if isinstance(trunk, Mapping) else os.fspath(trunk)).path)
        most, against = path.stat().st_size, f"weights file {str(path)!r}"
    else:
        return
    if values > most:
        raise InputError(
            f"it describes a {name!r} of {values:,} values, and {against} has room for {most:,}: give the weights that "
            "it was trained on"
        )


def source_arguments(trunk: TrunkSource) -> dict[str, Any]:
    """Return ``pretrained`` and ``weights`` of a prompted ViT on a trunk; both, so that they replace others."""
    if trunk == PRETRAINED:
        return dict(pretrained=True, weights=None)
    return dict(pretrained=False, weights=os.fspath(trunk) if isinstance(trunk, os.PathLike) else trunk)


def digest_once(trunk: TrunkSource) -> None:
    """Let a trunk that several models share remember its digests, which each of them reads."""
    if isinstance(trunk, PromptedViT):
        fingerprint(trunk.trunk, trunk.trunk.state_dict())


def drop_guidance(model: PromptedViT, config: AdapterConfig) -> None:
    """Drop the guidance of a built model, whose state is not in the folder; its arguments stay those of the folder."""
    model.guidance = None
    model.arguments["guidance"] = plain(config.backbone.get("guidance"))
