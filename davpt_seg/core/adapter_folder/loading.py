"""A prompted ViT out of an adapter folder and its frozen trunk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Union

from ...errors import InputError
from ..delta import frozen_names
from ..record import RECORD
from ..vit import PromptedViT
from .backbone import (
    TrunkSource,
    backbone_arguments,
    check_backbone,
    check_size,
    digest_once,
    drop_guidance,
    expected_state,
    planned,
    source_arguments,
    trunk_of,
)
from .config import read_config
from .opening import place_of
from .places import CONFIG, Place
from .tensors import read_tensors

PREFIX = "backbone."
#: Arguments of a prompted ViT that say which trunk it has.
OF_TRUNK = ("model_name", "timm_kwargs", "trunk_dtype", "trunk_quantization")


def load_adapter(folder: Union[str, os.PathLike[str]], trunk: TrunkSource = None) -> PromptedViT:
    """Load the prompted ViT of an adapter folder, in eval mode.

    >>> first = load_adapter("camvid", trunk="vit.safetensors")
    >>> second = load_adapter("crops", trunk=first)  # one trunk in memory serves both

    Of a segmentor's or classifier's folder, it loads the backbone alone. Nothing in the folder is run, and nothing is
    built or allocated before it was found to fit.

    Args:
        folder: a path, or ``hub:USER/NAME`` with an optional ``@REVISION``.
        trunk: a weights file, as ``weights=`` of PromptedViT takes it; ``pretrained`` for timm's own; or a PromptedViT
            that tunes nothing of its trunk, which is then shared. By default the recorded file, if it is next to the
            folder.

    Raises:
        InputError: a damaged, crafted or newer folder, or another trunk than the one that it was trained on.
    """
    place = place_of(folder)
    config = read_config(place)
    with naming(place):
        check_backbone(config.backbone, f"{CONFIG}: backbone")
        if isinstance(trunk, PromptedViT):
            digest_once(trunk)
        plan = planned(config, trunk_of(trunk, place, config.trunk, needed=False))
        source = trunk_of(trunk, place, config.trunk, needed=bool(frozen_names(plan)))
        check_size(plan, source)
    expected = expected_state(plan, config.mapping)
    tensors: dict[str, Any] = read_tensors(place, expected, config.task != "backbone", config.checksum)
    with naming(place):
        model = PromptedViT(**backbone_arguments(config, source), **source_arguments(source))  # type: ignore[misc]
        if not config.mapping:
            drop_guidance(model, config)
        state = {name.removeprefix(PREFIX): value for name, value in tensors.items()}
        if frozen_names(model):
            state[RECORD] = config.trunk.encode()
        model.load_state_dict(state, assign=True)  # which copies no tensor of the trunk onto itself
    model.eval()
    return model


@contextmanager
def naming(place: Place) -> Iterator[None]:
    """Let errors name the folder that they are about."""
    try:
        yield
    except InputError as error:
        text = str(error)
        raise InputError(text if text.startswith(place.name) else f"{place.name}: {text}") from error


def load_trunk(folder: Union[str, os.PathLike[str]], trunk: TrunkSource = None) -> PromptedViT:
    """Load the frozen ViT of an adapter folder, without what the folder adds to it, for several folders to share.

    Args:
        folder: see :func:`load_adapter`.
        trunk: see there.

    Raises:
        InputError: a damaged or crafted folder, or weights that do not fit its ViT.
    """
    place = place_of(folder)
    config = read_config(place)
    with naming(place):
        check_backbone(config.backbone, f"{CONFIG}: backbone")
        source = trunk_of(trunk, place, config.trunk, needed=True)
        if isinstance(source, PromptedViT):
            return source
        check_size(planned(config, source), source)
        stored = {name: config.backbone[name] for name in OF_TRUNK if name in config.backbone}
        return PromptedViT(**stored, **source_arguments(source)).eval()
