"""Builds the timm ViT that prompts join."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional, Union, cast

import timm
import torch
from torch import nn

from ..errors import InputError, nearest, some
from .arguments import check_values
from .blocks import Trunk
from .blocks.refused import refusal, refused_by_name, timm_module, wrong_heads
from .delta import Origin
from .inputs import BlockInputs
from .record import Source
from .sharing import shared_trunk
from .weights import WeightsFile, load_weights

logger = logging.getLogger("davpt_seg")

WeightsSource = Union[str, Path, Mapping[str, Any], nn.Module, None]

ALWAYS: dict[str, Any] = dict(num_classes=0, dynamic_img_size=True, dynamic_img_pad=True)
#: timm's modules whose ViTs take no such arguments; their patch embedding is set so afterwards.
OF_ONE_SIZE = {"beit"}
#: Arguments of timm.create_model that the prompted ViT sets itself, and files that it reads by ``weights``.
RESERVED = {
    "checkpoint_path",
    "patch_drop_rate",
    "pretrained",
    *ALWAYS,
}
#: Far above any ViT (the largest have 22 billion parameters in 48 blocks), and far below what would not end or fit.
MOST_PARAMETERS, MOST_BLOCKS = 10**11, 1000
LISTED = "names are in timm.list_models('vit_*')"
#: What timm's constructors raise where an argument does not fit.
WRONG_FOR_TIMM = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


def build_trunk(model_name: str, pretrained: bool, weights: WeightsSource, timm_kwargs: Mapping[str, Any]) -> Trunk:
    """Build a timm ViT without classifier, for images of any size, and load its weights.

    The weights of another prompted ViT are not copied: its tensors are shared.
    """
    if isinstance(weights, nn.Module):
        return _shared(model_name, pretrained, weights)
    if not (weights is None or weights):
        raise InputError(f"backbone weights must be a file or a dict with its path, got {weights!r}; omit it for none")
    if pretrained and weights:
        raise InputError(f"pretrained=True and weights={weights!r} are two sources of weights; choose one")
    trunk = create_trunk(model_name, pretrained, timm_kwargs)
    if weights:
        read, file = load_weights(trunk, weights), WeightsFile.of(weights)
        trunk.origin = Origin(Source(model_name, Path(file.path).name, read.format, read.network.rstrip(".")))  # type: ignore[assignment]
    elif pretrained:
        trunk.origin = Origin(Source(_tagged(trunk, model_name)))  # type: ignore[assignment]
    else:
        logger.warning(
            "The ViT %s starts from random weights (neither pretrained nor weights is set): "
            "fine if a checkpoint is loaded next.",
            model_name,
        )
    return trunk


def _shared(model_name: str, pretrained: bool, model: nn.Module) -> Trunk:
    """Return a ViT with the tensors of another prompted ViT's.

    Raises:
        InputError: no prompted ViT, one of another name, one that was folded, or a second source of weights.
    """
    if not isinstance(model, BlockInputs):
        raise InputError(
            f"backbone weights must be a file, a dict with its path, or another PromptedViT, got a "
            f"{type(model).__name__}; build PromptedViT(model_name, weights=...) once and give that"
        )
    if pretrained:
        raise InputError("pretrained=True and weights of another PromptedViT are two sources of weights; choose one")
    require_shareable(model)
    names = [name.partition(".")[0] for name in (model_name, _tagged(model.trunk, model_name))]
    if names[0] != names[1]:
        raise InputError(f"model_name {model_name!r}: the weights given are of a {names[1]}; the two must be the same")
    return shared_trunk(model.trunk)


def require_shareable(model: BlockInputs) -> None:
    """Check that the tensors of a prompted ViT's trunk are its pre-trained weights, and let other models have them.

    Raises:
        InputError: the model was folded, or tunes its trunk.
    """
    if model.folded is not None:
        raise InputError("weights of a folded PromptedViT are not those of its pre-trained ViT; give one before fold()")
    if model.learned_in_trunk:
        raise InputError(
            "weights of a PromptedViT that tunes its ViT are not the pre-trained ones "
            f"({some(sorted(model.learned_in_trunk))}); give one with frozen=True and tuned=()"
        )
    model.shares_trunk = True


def _tagged(trunk: Trunk, model_name: str) -> str:
    """Return timm's name of a ViT with the tag of its weights."""
    config = cast(dict[str, Any], trunk.pretrained_cfg or {})
    name, tag = config.get("architecture") or model_name, config.get("tag")
    return f"{name}.{tag}" if tag else name


def create_trunk(model_name: str, pretrained: bool, timm_kwargs: Mapping[str, Any]) -> Trunk:
    """Build a timm ViT that prompts can join, without classifier, for images of any size.

    A model on the meta device, which has no values, is checked first: one that is refused costs no download, little
    time and no memory.
    """
    reserved = RESERVED & timm_kwargs.keys()
    if reserved:
        raise InputError(f"timm_kwargs {sorted(reserved)}: the prompted ViT sets or excludes these itself")
    items = tuple(timm_kwargs.items())
    plan = _plan(model_name, items, repr(items)) if _hashable(items) else _plan.__wrapped__(model_name, items)
    if pretrained and not any(
        cast(dict[str, Any], plan.pretrained_cfg).get(source) for source in ("url", "hf_hub_id", "file")
    ):
        raise InputError(f"timm has no pretrained weights of {model_name!r}; timm.list_pretrained('vit_*') lists names")
    pooling = _own_pooling(plan)
    if pooling:
        _report_pooling(model_name, pooling)
    try:
        trunk: Any = timm.create_model(model_name, pretrained=pretrained, **always(model_name), **timm_kwargs)
    except OSError as error:
        raise InputError(
            f"timm's weights of {model_name!r} could not be downloaded ({type(error).__name__}). Without a network, "
            "download them elsewhere (its model.safetensors) and set pretrained=False, weights='path/to/that/file'; or "
            "fill the Hugging Face cache there (HF_HOME)."
        ) from error
    trunk.patch_embed.strict_img_size, trunk.patch_embed.dynamic_img_pad = False, True
    trunk.reset_classifier(0, "")  # drops the pooling head that SigLIP towers have
    return trunk


def always(model_name: str) -> dict[str, Any]:
    """Return the arguments of ``timm.create_model`` that a trunk of a name is always built with."""
    return dict(num_classes=0) if timm_module(model_name) in OF_ONE_SIZE else ALWAYS


def _hashable(value: object) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


@functools.lru_cache(maxsize=64)
def _plan(model_name: str, items: tuple[tuple[str, Any], ...], shown: str = "") -> Trunk:
    """Build a model on the meta device and check that prompts can join it, once for the same arguments.

    Args:
        model_name: name in timm.
        items: timm_kwargs.
        shown: the same as text, in which 1, 1.0 and True differ.
    """
    timm_kwargs = dict(items)
    _refuse(model_name, refused_by_name(model_name))
    depth = timm_kwargs.get("depth")
    if isinstance(depth, int) and depth > MOST_BLOCKS:
        raise InputError(f"timm_kwargs depth must be at most {MOST_BLOCKS}, got {depth}")
    try:
        with torch.device("meta"):
            kwargs = {name: value for name, value in timm_kwargs.items() if name != "device"}
            plan: Any = timm.create_model(model_name, pretrained=False, **always(model_name), **kwargs)
    except WRONG_FOR_TIMM as error:
        known = timm.list_models()
        if ":" not in model_name and model_name.partition(".")[0] not in known:
            raise InputError(
                f"model_name {model_name!r} is unknown to timm; {nearest(model_name, known, LISTED)}"
            ) from error
        reason = str(error).partition("\n")[0]
        if any(name in reason for name in ALWAYS):  # arguments that only its Vision Transformers take
            reason = "it is another kind of model"
        raise InputError(
            f"model_name {model_name!r} gives no plain timm Vision Transformer with timm_kwargs {timm_kwargs}: "
            f"{reason}; {LISTED}"
        ) from error
    except OSError as error:  # of names with "hf-hub:" or "local-dir:"
        raise InputError(
            f"model_name {model_name!r}: the config.json of this model could not be read ({type(error).__name__}); "
            "check the name and the network, or take a name of timm.list_models('vit_*')"
        ) from error
    parameters = sum(parameter.numel() for parameter in plan.parameters())
    if parameters > MOST_PARAMETERS:
        raise InputError(
            f"model_name {model_name!r} with timm_kwargs {timm_kwargs} has {parameters:,} parameters; at most "
            f"{MOST_PARAMETERS:,} are built: lower what timm_kwargs sets"
        )
    _check_kind(model_name, plan)
    given = {name: value for name, value in timm_kwargs.items() if value is not None}  # timm drops the others
    check_values(type(plan), given, "timm_kwargs")
    return plan


def _refuse(model_name: str, reason: Optional[str]) -> None:
    if reason is not None:
        raise InputError(f"model_name {model_name!r}: {reason}. docs/trunks.md lists the ViTs that prompts can join")


def _check_kind(model_name: str, trunk: Any) -> None:
    _refuse(model_name, refusal(trunk))
    if 0 in (trunk.patch_embed.grid_size or ()):
        raise InputError(
            f"model_name {model_name!r} with timm_kwargs img_size {trunk.patch_embed.img_size} has no patches of "
            f"patch_size {trunk.patch_embed.patch_size}; make img_size a multiple of patch_size"
        )
    if not len(trunk.blocks):
        raise InputError(f"model_name {model_name!r} has no blocks for prompts; set timm_kwargs depth to 1 or more")
    if wrong := wrong_heads(trunk):
        raise InputError(f"model_name {model_name!r}: {wrong}; change it in timm_kwargs")


def _own_pooling(trunk: Trunk) -> str:
    """Describe how a trunk makes its image token where that is neither its class token nor its patches' mean."""
    if hasattr(trunk, "dist_token"):
        return "the mean of its class token's and its distillation token's predictions"
    if getattr(trunk, "attn_pool", None) is not None:
        return "an attention pool over its tokens"
    if trunk.global_pool in ("", "token", "avg"):
        return ""
    return f"timm's pooling {trunk.global_pool!r}"


@functools.cache
def _report_pooling(model_name: str, pooling: str) -> None:
    """Report a pooling that is dropped, once per model and process."""
    logger.warning(
        "The ViT %s was pre-trained to classify by %s. Here that part is dropped: heads read its class token, the mean "
        "of its patch tokens, or maps.",
        model_name,
        pooling,
    )
