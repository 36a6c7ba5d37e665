"""A checkpoint file of any known format, opened: the ViT in it under timm's names, and what was omitted."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional, Union

from torch import Tensor

from ...errors import InputError, some
from ..record import records_in
from .files import checked_path, read_tensors
from .formats import Format
from .jax import read_npz
from .prefixes import prefixes, under
from .table import identify

# What a ViT's file may hold that no backbone needs, by timm's name of it.
LEFT_OUT = {
    "classifier or projection head": r"(?:(?:lm_)?head(?:_dist)?\..*|proj)",
    "pre-logits layer": r"pre_logits\..*",
    "pooling head": r"(?:attn_pool|pooler)\..*",
    "decoder": r"decoder_.*",
    "mask token": r"mask_token",
    "mask of the key bias": r".*\.bias_mask",
    "fixed rotary positions": r"(?:.*\.)?rope\.freqs_(?:cos|sin)",
    "index of relative positions": r"(?:.*\.)?relative_position_index",
    "distillation head": r"projectors\..*",
    "norm of local crops": r"local_cls_norm\..*",
}
TRAINING_STATE = r"(?:optimizer|optim|scaler|loss_scaler|amp|lr_scheduler|scheduler|message_hub|best_\w+)\b.*"


@dataclass
class Checkpoint:
    """The ViT of a file.

    Attributes:
        path: the file.
        format: the name of its format, see :data:`~davpt_seg.core.weights.FORMATS`.
        network: prefix of the ViT's names in the file, for instance ``state_dict.module.base_encoder.``.
        tensors: the ViT's tensors under timm's names.
        left_out: the names that were omitted on purpose, by reason.
        unexpected: names that nothing explains.
        notes: what else was done to the tensors, one sentence each.
    """

    path: Path
    format: str
    network: str
    tensors: dict[str, Tensor]
    left_out: dict[str, list[str]] = field(default_factory=dict)
    unexpected: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def summary(self) -> str:
        """Describe in one line what the file is and what was done with it."""
        network = f", network {self.network[:-1]!r}" if self.network else ""
        parts = [f"format {self.format}{network}", *self.notes]
        parts += [f"omitted: {reason} ({some(names)})" for reason, names in self.left_out.items()]
        return "; ".join(parts)


def open_checkpoint(
    path: Union[str, Path], which: Optional[str] = None, trust_pickle: bool = False, prefix: Optional[str] = None
) -> Checkpoint:
    """Read the ViT of a file.

    Args:
        path: a file of any format in :data:`~davpt_seg.core.weights.FORMATS`, or a JAX ``.npz``.
        which: network to take from a file with several, for instance ``momentum_encoder`` or ``student``.
        trust_pickle: see :func:`~davpt_seg.core.weights.read_tensors`.
        prefix: what is before the names of a ViT of a known format, for instance ``net.``; the file's other tensors
            are omitted.

    Raises:
        InputError: see :func:`~davpt_seg.core.weights.read_tensors`.
        ValueError: an unknown format, or no such network in the file.
    """
    path = checked_path(path)
    if path.suffix == ".npz":
        if prefix is not None:
            raise InputError(f"prefix={prefix!r}: a JAX .npz file ({str(path)!r}) holds one ViT; omit it")
        if which is not None:
            raise InputError(f"which={which!r}: a JAX .npz file ({str(path)!r}) holds one ViT; leave it out")
        tensors, left_out, unexpected = read_npz(path)
        return Checkpoint(path, "JAX", "", tensors, left_out, unexpected)
    tensors = read_tensors(path, trust_pickle)
    for record in records_in(tensors).values():
        raise InputError(
            f"weights file {str(path)!r} is a checkpoint that was saved without its frozen ViT, beside {record}; give "
            "the file of those weights"
        )
    others: list[str] = []
    if prefix is not None:
        tensors, others = under(tensors, prefix, path)
    format_, networks = identify(tensors, str(path), _advice(str(path), tensors) if prefix is None else "")
    chosen = _choose(networks, which, format_, path)
    taken = _taken(path, format_, networks, chosen, tensors)
    if others:
        taken.left_out[f"not under {prefix!r}"] = others
    return taken


def _advice(path: str, tensors: Collection[str]) -> str:
    found = prefixes(tensors)
    if not found:
        return ""
    where = f"ViTs are in it under {some(list(map(repr, found)))}; name one" if found[1:] else "A ViT is in it"
    return (
        f"{where}: weights=dict(path={path!r}, prefix={found[0]!r}), or --cfg-options model.backbone.weights={path} "
        f"model.backbone.weights.prefix={found[0]}. "
    )


def _choose(networks: dict[str, str], which: Optional[str], format_: Format, path: Path) -> str:
    if which is not None and which not in networks:
        there = some([repr(name) for name in networks if name]) or "one only, so leave which out"
        raise InputError(f"which={which!r}: weights file {str(path)!r} (format {format_.name}) has networks: {there}")
    return networks[which] if which is not None else next(iter(networks.values()))


def _taken(
    path: Path, format_: Format, networks: dict[str, str], chosen: str, tensors: dict[str, Tensor]
) -> Checkpoint:
    checkpoint = Checkpoint(path, format_.name, chosen, {})
    twins = {prefix: which for which, prefix in networks.items() if prefix != chosen}
    inside = {}
    for name, value in tensors.items():
        twin = next((prefix for prefix in twins if name.startswith(prefix)), None)
        if name.startswith(chosen) and not (twin and len(twin) > len(chosen)):
            inside[name[len(chosen) :]] = value
        elif twin:
            checkpoint.left_out.setdefault(f"network which={twins[twin]!r}", []).append(name)
        elif re.fullmatch(TRAINING_STATE, name):
            checkpoint.left_out.setdefault("training state", []).append(name)
        elif format_.beside and re.fullmatch(format_.beside, name):
            checkpoint.left_out.setdefault("other modules", []).append(name)
        else:
            checkpoint.unexpected.append(name)
    try:
        renamed = format_.to_timm(inside)
    except (IndexError, RuntimeError) as error:  # timm's filters split, add and turn tensors
        raise InputError(
            f"weights file {str(path)!r} (format {format_.name}) has a tensor of a shape that its format never has: "
            f"{error}. The file is damaged, or of another model; get it again"
        ) from error
    for name in dict.fromkeys([*inside, *renamed]):
        if reason := _needless(name):
            checkpoint.left_out.setdefault(reason, []).append(name)
    checkpoint.tensors = {name: value for name, value in renamed.items() if not _needless(name)}
    return checkpoint


def _needless(name: str) -> Optional[str]:
    return next((reason for reason, pattern in LEFT_OUT.items() if re.fullmatch(pattern, name)), None)
