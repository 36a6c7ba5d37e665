"""A file's ViT and timm's, made to fit where that is well-defined, and compared name by name."""

from __future__ import annotations

import math
import re
from typing import Optional

from timm.layers import resample_abs_pos_embed, resample_patch_embed

from ...errors import near_names, some
from ..blocks import Trunk
from .names import PATCH_KERNEL, State

SHOWN = 10
# What a name among the problems most often means.
HINTS = {
    r"missing norm\..*": "the file has no final norm (mmseg's models may lack it): timm_kwargs=dict(final_norm=False)",
    r"missing .*\.ls\d\.gamma": "the file has no layer scale: timm_kwargs=dict(init_values=None)",
    r"unexpected .*\.ls\d\.gamma": "the file has layer scale: timm_kwargs=dict(init_values=1e-5)",
    r"missing reg_token": "the file has no registers: take a model_name without reg",
    r"unexpected reg_token": "the file has registers: take a model_name with reg",
    r"unexpected cls_token": "the file has a class token: timm_kwargs=dict(class_token=True)",
    rf"shape {PATCH_KERNEL}": "for other patches: weights=dict(path=..., resample_patch=True)",
}


def fit(tensors: State, trunk: Trunk, resample_patch: bool) -> list[str]:
    """Resample positions to the trunk's grid, in place; return what was done, one sentence each.

    Args:
        tensors: the file's, under timm's names.
        trunk: the ViT to fit.
        resample_patch: also resample the patch embedding to the trunk's patch size (FlexiViT's, arXiv 2212.08013).
    """
    done = [_rename_final_norm(tensors, trunk), _resample_positions(tensors, trunk)]
    if resample_patch:
        done.append(_resample_patch(tensors, trunk))
    return [sentence for sentence in done if sentence]


def _rename_final_norm(tensors: State, trunk: Trunk) -> Optional[str]:
    """A ViT has one final norm, before the pooling (``norm``) or after (``fc_norm``); here both act on each token."""
    wanted = trunk.state_dict()
    for own, other in (("norm", "fc_norm"), ("fc_norm", "norm")):
        if f"{own}.weight" in wanted.keys() - tensors.keys() and f"{other}.weight" in tensors.keys() - wanted.keys():
            for part in ("weight", "bias"):
                if f"{other}.{part}" in tensors:
                    tensors[f"{own}.{part}"] = tensors.pop(f"{other}.{part}")
            return f"{other} taken as {own}"
    return None


def _resample_positions(tensors: State, trunk: Trunk) -> Optional[str]:
    positions, own = tensors.get("pos_embed"), trunk.pos_embed
    if positions is None or own is None or positions.ndim != 3 or positions.shape == own.shape:
        return None
    prefix = 0 if trunk.no_embed_class else trunk.num_prefix_tokens
    patches = positions.shape[1] - prefix
    side = math.isqrt(max(patches, 0))
    if side < 1 or side * side != patches or positions.shape[2] != own.shape[2]:
        return None  # of no known grid, or of another width: refused by name
    height, width = trunk.patch_embed.grid_size
    tensors["pos_embed"] = resample_abs_pos_embed(
        positions, new_size=[height, width], old_size=[side, side], num_prefix_tokens=prefix
    )
    return f"position embeddings resampled from {side}x{side} to {height}x{width} patches"


def _resample_patch(tensors: State, trunk: Trunk) -> Optional[str]:
    kernel, size = tensors.get(PATCH_KERNEL), list(trunk.patch_embed.patch_size)
    if kernel is None or kernel.ndim != 4 or list(kernel.shape[2:]) == size:
        return None
    tensors[PATCH_KERNEL] = resample_patch_embed(kernel, size)
    return f"patch embedding resampled from {_times(kernel.shape[2:])} to {_times(size)} pixels"


def differences(tensors: State, unexpected: list[str], trunk: Trunk) -> str:
    """List by name what is missing, unexpected or of another shape, with what to try; empty if all fits."""
    wanted = trunk.state_dict()
    unexpected = [*(name for name in tensors if name not in wanted), *unexpected]
    missing = [name for name in wanted if name not in tensors]
    shapes = {
        name: f"{name} {tuple(tensors[name].shape)} instead of {tuple(value.shape)}"
        for name, value in wanted.items()
        if name in tensors and tensors[name].shape != value.shape
    }
    if not (missing or unexpected or shapes):
        return ""
    lines = []
    for kind, listed in (
        ("missing", [_with_nearest(name, unexpected) for name in missing[:SHOWN]] + missing[SHOWN:]),
        ("unexpected", unexpected),
        ("of another shape", list(shapes.values())),
    ):
        if listed:
            lines.append(f"  {kind} ({len(listed)}): {some(listed, SHOWN)}")
    problems = (
        [f"missing {n}" for n in missing] + [f"unexpected {n}" for n in unexpected] + [f"shape {n}" for n in shapes]
    )
    hints = [text for pattern, text in HINTS.items() if any(re.fullmatch(pattern, problem) for problem in problems)]
    return "\n".join([*lines, *(f"  hint: {hint}" for hint in hints)])


def _with_nearest(name: str, among: list[str]) -> str:
    near = near_names(name, among)
    return f"{name} (nearest in the file: {near[0]})" if near else name


def describe(tensors: State) -> str:
    """Say in a line what ViT the tensors, under timm's names, are."""
    blocks = {found[1] for name in tensors if (found := re.match(r"blocks\.(\d+)\.", name))}
    facts = [f"{len(blocks)} blocks"]
    if PATCH_KERNEL in tensors and tensors[PATCH_KERNEL].ndim == 4:
        kernel = tensors[PATCH_KERNEL]
        facts += [f"width {len(kernel)}", f"patches of {_times(kernel.shape[2:])} pixels"]
    if "pos_embed" in tensors:
        facts.append(f"{tensors['pos_embed'].shape[-2]} positions")
    if "reg_token" in tensors:
        facts.append(f"{tensors['reg_token'].shape[-2]} registers")
    return ", ".join(facts)


def _times(sizes: object) -> str:
    return "x".join(str(size) for size in sizes)  # type: ignore[attr-defined]
