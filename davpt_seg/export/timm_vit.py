"""A tuned trunk as a plain timm ViT, where folding leaves one."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import timm
import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from ..core.vit import PromptedViT
from ..core.weights import with_checksum
from ..errors import InputError, some

#: Arguments that timm may need for what folding added or removed: biases, and no pooling head.
MAY_NEED: tuple[Mapping[str, Any], ...] = (dict(global_pool=""), dict(qkv_bias=True))
TOLERANCE = 1e-4  # of tokens, as a share of the largest


class PlainViT(NamedTuple):
    """A ViT of timm with what was learned in its weights.

    Attributes:
        model_name: timm's.
        kwargs: further arguments of ``timm.create_model``.
        tensors: its state dict.
    """

    model_name: str
    kwargs: dict[str, Any]
    tensors: dict[str, Tensor]

    @property
    def call(self) -> str:
        """The call that makes a model that these tensors fit."""
        given = ", ".join(f"{name}={value!r}" for name, value in {"num_classes": 0, **self.kwargs}.items())
        return f"timm.create_model({self.model_name!r}, {given})"

    def create(self) -> Any:
        """Make timm's model, without these tensors."""
        return timm.create_model(self.model_name, num_classes=0, **self.kwargs)


def plain_vit(vit: PromptedViT, model_name: str, timm_kwargs: Mapping[str, Any]) -> PlainViT:
    """Fold a copy of a tuned ViT into a plain one.

    Args:
        vit: the tuned ViT; it stays as it is.
        model_name: timm's name of its trunk.
        timm_kwargs: further arguments that it was built with.

    Raises:
        InputError: something learned is left beside the trunk, or timm's model has no place for it; named.
    """
    vit = copy.deepcopy(vit).fold()
    left = [f"the adapter {name!r}, which computes something of its input" for name in vit.adapters]
    if vit.prompts is not None:
        left.append("prompts that stay in the sequence")
    if vit.folded is not None and next(vit.folded.buffers(), None) is not None:
        left.append("keys and values that attention reads beside the tokens' (prompts, or E2VPT's)")
    if left:
        raise InputError(
            f"--timm writes a plain timm ViT, and this one has {' and '.join(left)}. LoRA, SSF, biases and other tuned "
            "parameters of the trunk fold into it. --onnx and --pt2 write the complete model of any method"
        )
    tensors = {name: value.detach().contiguous() for name, value in vit.trunk.state_dict().items()}
    kwargs = {name: value for name, value in timm_kwargs.items() if name != "drop_path_rate"}
    return PlainViT(model_name, _fitting(model_name, kwargs, tensors), tensors)


def _fitting(model_name: str, kwargs: dict[str, Any], tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return arguments with which timm's model has exactly these tensors."""
    shapes = {name: value.shape for name, value in tensors.items()}
    differing: list[str] = []
    for count in range(len(MAY_NEED) + 1):
        for further in itertools.combinations(MAY_NEED, count):
            tried = {**kwargs, **{name: value for each in further for name, value in each.items()}}
            found = _shapes(model_name, tried)
            if found == shapes:
                return tried
            differing = differing or sorted(name for name in {*found, *shapes} if found.get(name) != shapes.get(name))
    raise InputError(
        f"--timm: timm's {model_name!r} has no place for all that was learned; these tensors differ: {some(differing)}"
    )


def _shapes(model_name: str, kwargs: Mapping[str, Any]) -> dict[str, torch.Size]:
    """Return the tensors that timm's model of some arguments has; none where it does not take them."""
    try:
        with torch.device("meta"):
            model: nn.Module = timm.create_model(model_name, num_classes=0, **kwargs)
    except TypeError:  # an argument that this kind of ViT does not have
        return {}
    return {name: value.shape for name, value in model.state_dict().items()}


def save_plain_vit(plain: PlainViT, path: Path, about: Mapping[str, str]) -> None:
    """Write a plain ViT, with timm's name of it and the arguments of ``timm.create_model`` in the metadata."""
    metadata = {"format": "pt", "timm_model": plain.model_name, "timm_kwargs": json.dumps(plain.kwargs), **about}
    path.write_bytes(save(plain.tensors, with_checksum(plain.tensors, metadata)))


@torch.no_grad()
def token_difference(plain: PlainViT, path: Path, vit: PromptedViT) -> tuple[float, float]:
    """Return by how much the patch tokens of timm's model with a file differ from ours, and the largest token.

    They are those that leave the last block that ours runs, of two random images of the trunk's own size.
    """
    model = plain.create().eval()
    model.load_state_dict(load_file(path), strict=True)
    size = vit.trunk.patch_embed.img_size or tuple(8 * side for side in vit.patch_size)
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    (found,) = model.forward_intermediates(images, indices=[vit.last], output_fmt="NLC", intermediates_only=True)
    *_, (tokens, _, _) = vit.eval().walk(vit.embed(images))
    ours = tokens[:, vit.patches(vit.grid(images))]
    return float((found - ours).abs().max()), float(ours.abs().max())
