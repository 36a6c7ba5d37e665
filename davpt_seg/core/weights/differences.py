"""A file's ViT and timm's, compared name by name."""

from __future__ import annotations

import re

from ...errors import near_names, some
from ..blocks import Trunk
from .names import PATCH_KERNEL, State

SHOWN = 10
# What a name among the problems most often means.
HINTS = {
    r"missing norm\..*": "the file has no final norm (mmseg's models may lack it): timm_kwargs=dict(final_norm=False). "
    "Perception Encoder's spatial models have none, its core models do",
    r"missing .*\.ls\d\.gamma": "the file has no layer scale: timm_kwargs=dict(init_values=None)",
    r"unexpected .*\.ls\d\.gamma": "the file has layer scale: timm_kwargs=dict(init_values=1e-5)",
    r"missing reg_token": "the file has no registers: take a model_name without reg",
    r"unexpected reg_token": "the file has registers: take a model_name with reg",
    r"missing .*\.gamma_\d": "the file has no layer scale: timm_kwargs=dict(init_values=None)",
    r"unexpected .*\.gamma_\d": "the file has layer scale: timm_kwargs=dict(init_values=1e-5)",
    r"missing .*\.q_bias": "the file has no query and value biases: of DINOv3, take a model_name without qkvb",
    r"unexpected .*\.q_bias": "the file has query and value biases: of DINOv3, take a model_name with qkvb",
    r"unexpected .*\.k_bias": "the file has key biases, which timm's model lacks",
    r"unexpected norm\..*": "the file has a final norm, as Perception Encoder's core models do; its spatial have none",
    r"missing pos_embed": "the file has no position embeddings; DINOv3 has none: timm's names with dinov3",
    r"unexpected pos_embed": "the file has position embeddings and the model has none: take the file's own model_name",
    r"unexpected rope\.periods": "the model has other rotary periods than the file, or none",
    r"unexpected cls_token": "the file has a class token: timm_kwargs=dict(class_token=True)",
    r"unexpected .*\.weight_int8": "the file's ViT was trained with trunk_quantization='int8', which rounds; take the "
    "file of weights that this training started from",
    rf"bands {PATCH_KERNEL}": "the model has another number of bands than the file (timm_kwargs=dict(in_chans=...)): "
    "weights=dict(path=..., adapt_input=True) makes the kernels of others from those of three bands; in a command, "
    "--cfg-options model.backbone.weights.adapt_input=True",
    rf"size {PATCH_KERNEL}": "for other patches: weights=dict(path=..., resample_patch=True)",
}


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
    if PATCH_KERNEL in shapes and tensors[PATCH_KERNEL].ndim == wanted[PATCH_KERNEL].ndim == 4:
        found, own = tensors[PATCH_KERNEL].shape, wanted[PATCH_KERNEL].shape
        problems += [f"bands {PATCH_KERNEL}"] * (found[1] != own[1] and found[1] == 3)
        problems += [f"size {PATCH_KERNEL}"] * (found[2:] != own[2:])
    hints = [text for pattern, text in HINTS.items() if any(re.fullmatch(pattern, problem) for problem in problems)]
    return "\n".join([*lines, *(f"  hint: {hint}" for hint in hints)])


def _with_nearest(name: str, among: list[str]) -> str:
    near = near_names(name, among)
    return f"{name} (nearest in the file: {near[0]})" if near else name


def describe(tensors: State) -> str:
    """Describe in a line the ViT of tensors under timm's names."""
    blocks = {found[1] for name in tensors if (found := re.match(r"blocks\.(\d+)\.", name))}
    facts = [f"{len(blocks)} blocks"]
    if PATCH_KERNEL in tensors and tensors[PATCH_KERNEL].ndim == 4:
        kernel = tensors[PATCH_KERNEL]
        facts += [f"width {len(kernel)}", f"patches of {times(kernel.shape[2:])} pixels"]
        facts += [f"{kernel.shape[1]} bands"] * (kernel.shape[1] != 3)
    for name, counted in (("pos_embed", "positions"), ("reg_token", "registers")):
        if name in tensors and tensors[name].ndim > 1:
            facts.append(f"{tensors[name].shape[-2]} {counted}")
    return ", ".join(facts)


def times(sizes: object) -> str:
    """Write sizes as ``16x16``."""
    return "x".join(str(size) for size in sizes)  # type: ignore[attr-defined]
