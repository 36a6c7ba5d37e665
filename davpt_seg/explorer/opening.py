"""Checks and names of the models that the explorer opens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..core.adapter_folder.places import CONFIG, HUB
from ..core.vit import PromptedViT
from ..errors import InputError, some


def refuse_several(path: str) -> None:
    """Refuse a folder whose folders are adapters, as several tasks on one ViT are kept.

    Raises:
        InputError: such a folder; the message names the adapters.
    """
    folder = Path(path)
    if path.startswith(HUB) or not folder.is_dir() or (folder / CONFIG).exists():
        return
    inside = sorted(str(file.parent) for file in folder.glob(f"*/{CONFIG}"))
    if inside:
        raise InputError(
            f"folder {path!r} holds several adapters, and a model of the explorer is one checkpoint or one adapter "
            f"folder; choose one or two of {some(inside)}"
        )


def short_name(path: str) -> str:
    """Return the name of an adapter folder, or of a checkpoint and its folder."""
    if path.startswith(HUB):
        return path
    resolved = Path(path).resolve()
    return resolved.name if resolved.is_dir() else f"{resolved.parent.name}/{resolved.name}"


def vit_of(model: Any, origin: str) -> PromptedViT:
    """Return a model's prompted ViT.

    Raises:
        InputError: its backbone is another.
    """
    backbone = getattr(model, "backbone", None)
    if not isinstance(backbone, PromptedViT):
        raise InputError(
            f"{origin} has the backbone {type(backbone).__name__}, and the explorer shows the attention of a "
            "PromptedViT; it takes checkpoints that davpt-seg train wrote, and adapter folders"
        )
    return backbone
