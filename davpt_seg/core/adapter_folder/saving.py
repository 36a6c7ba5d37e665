"""An adapter folder out of a prompted ViT."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Optional, Union

import timm
import torch
from safetensors.torch import save_file
from torch import Tensor

from ...errors import InputError, some
from ...replacing import replacing
from ..arguments import plain
from ..delta import record_of
from ..record import Record
from ..sharded import require_complete
from ..vit import PromptedViT
from ..weights.checksum import checksum, with_checksum
from ..weights.values import faults
from .backbone import expected_state
from .card import core_card
from .config import AdapterConfig
from .places import CARD, CONFIG, FIGURE, FILES, MOST, TENSORS
from .strict_json import parse


def save_adapter(model: PromptedViT, folder: Union[str, os.PathLike[str]], mapping: bool = False) -> Path:
    """Write what a prompted ViT adds to its frozen trunk into a folder, which :func:`load_adapter` reads.

    Args:
        model: not folded, in float32.
        folder: to write; an earlier adapter in it is replaced in one step.
        mapping: also write guidance's state (class means, the class-to-prompt mapping), with which training continues.

    Returns:
        The folder.

    Raises:
        InputError: a model that is folded, waits for its weights, is described by more than plain values, or holds
            values that no training leaves; a folder that holds other files.
    """
    if not isinstance(model, PromptedViT):
        raise InputError(
            f"save_adapter takes a PromptedViT, got a {type(model).__name__}; davpt_seg.apis.save_adapter takes "
            "segmentors and classifiers"
        )
    state, config = backbone_part(model, mapping)
    return write_folder(folder, state, config, core_card(model))


def backbone_part(
    model: PromptedViT, mapping: bool, record: Optional[Record] = None
) -> tuple[dict[str, Tensor], AdapterConfig]:
    """Return what a folder holds of a prompted ViT: its tensors by name, and its config without their checksum.

    Args:
        model: see :func:`save_adapter`.
        mapping: see there.
        record: its frozen trunk, where that is known; by default that of the model's own.

    Raises:
        InputError: see there.
    """
    require_complete(model.trunk.blocks)
    if record is None and not model.has_weights:
        raise InputError("the ViT still waits for its weights: call init_weights(), or load a checkpoint, then save it")
    mapping = mapping and model.guidance is not None
    config = AdapterConfig(plain(model.arguments), record or record_of(model), "", mapping, versions=versions())
    return expected_state(model, mapping), config


def versions() -> dict[str, str]:
    """Return the versions of the packages that decide what a folder means."""
    own = import_module(__name__.partition(".")[0]).__version__
    return {"davpt_seg": own, "torch": str(torch.__version__), "timm": timm.__version__}


def write_folder(
    folder: Union[str, os.PathLike[str]],
    tensors: Mapping[str, Tensor],
    config: AdapterConfig,
    card: str,
    figure: Optional[bytes] = None,
) -> Path:
    """Write a folder in one step.

    Raises:
        InputError: see :func:`save_adapter`.
    """
    target = checked_target(folder)
    state = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    if doubles := [name for name, value in state.items() if value.dtype == torch.float64]:
        raise InputError(f"adapters are saved in float32, and {some(doubles)} are float64: call model.float() first")
    if wrong := faults(state):
        raise InputError(f"the model holds values that no training leaves: {some(wrong)}; take an earlier checkpoint")
    text = replace(config, checksum=checksum(state)).text()
    with replacing(target, shared=True) as part:  # two processes may write the same folder
        part.mkdir()
        save_file(state, part / TENSORS, with_checksum(state, {}))
        (part / CONFIG).write_text(text)
        (part / TENSORS).chmod((part / CONFIG).stat().st_mode)  # safetensors writes files that only their owner reads
        (part / CARD).write_text(card)
        if figure is not None:
            (part / FIGURE).write_bytes(figure)
    return target


def checked_target(folder: Union[str, os.PathLike[str]]) -> Path:
    """Return a folder to write: one that is not there, is empty, or holds an adapter of ours and nothing else.

    Raises:
        InputError: anything else, which would be lost.
    """
    target = Path(folder)
    if "\0" in str(target):
        raise InputError(f"{str(target)!r} is no name of a folder")
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise InputError(f"{str(target)!r} is a file or a link; name a folder for the adapter")
    found = sorted(target.iterdir()) if target.is_dir() else []
    foreign = [path.name for path in found if path.name not in FILES or (path.is_dir() and not path.is_symlink())]
    if foreign:
        raise InputError(
            f"folder {str(target)!r} holds other files ({some(foreign)}); name a new folder for the adapter"
        )
    if target.resolve() in (Path.cwd(), *Path.cwd().parents):
        raise InputError(f"{str(target)!r} is the working folder, or one around it; name a folder for the adapter")
    if found and not _is_own(target / CONFIG):
        raise InputError(
            f"folder {str(target)!r} holds {some([path.name for path in found])}, and no {CONFIG} of davpt_seg; name a "
            "new folder for the adapter, so that nothing else is lost"
        )
    return target


def _is_own(path: Path) -> bool:
    """Return whether an ``adapter_config.json`` is one of ours: other libraries have files of that name."""
    if not path.is_file() or path.is_symlink() or path.stat().st_size > MOST[CONFIG]:
        return False
    try:
        return {"format", "backbone", "trunk"} <= parse(path.read_bytes(), CONFIG).keys()
    except InputError:
        return False
