"""Changes of a copied model that make it exportable and leave its outputs as they are."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Optional

import torch
from mmengine.model import BaseModel
from mmseg.models.utils import Upsample, resize
from timm.layers import RotaryEmbeddingDinoV3
from torch import Tensor, nn

from ..core.precision import Precision
from ..core.quantization import is_quantized
from ..core.vit import PromptedViT
from ..errors import InputError


class ExportableUpsample(Upsample):
    """MMSegmentation's ``Upsample``, whose ``int(side * factor)`` would make a constant of a dynamic side."""

    def forward(self, x: Tensor) -> Tensor:
        """Resize maps (B, C, H, W)."""
        size = self.size or [torch.sym_int(side * self.scale_factor) for side in x.shape[-2:]]
        return resize(x, size, None, self.mode, self.align_corners)


class ExportableRotations(RotaryEmbeddingDinoV3):
    """timm's rotary positions of DINOv3, whose ``float(side)`` would make a constant of a dynamic side."""

    def _create_embed(self, feat_shape: Sequence[int], no_aug: bool = True) -> Tensor:
        """Return sines and cosines (h * w, 2 * head_dim) of a grid (h, w)."""
        swapped = self.grid_indexing == "xy"
        sides = list(reversed(feat_shape)) if swapped else list(feat_shape)
        of_all = {"max": torch.sym_max, "min": torch.sym_min}.get(self.normalize_coords)
        spans: list[Any] = [of_all(*sides)] * 2 if of_all else sides
        cells = [torch.arange(side).float() + 0.5 for side in sides]
        places: list[Tensor] = [(each + self.grid_offset) / span for each, span in zip(cells, spans)]
        grid = torch.stack(torch.meshgrid(places, indexing=self.grid_indexing), dim=-1)
        return torch.cat(self._get_pos_embed_from_coords(2 * grid.flatten(0, -2) - 1), dim=-1)


#: Classes whose modules are exported as another class.
EXPORTABLE: dict[type[nn.Module], type[nn.Module]] = {
    Upsample: ExportableUpsample,
    RotaryEmbeddingDinoV3: ExportableRotations,
}


def prompted_vit(model: BaseModel) -> Optional[PromptedViT]:
    """Return a model's prompted ViT, or None where its backbone is another."""
    backbone = getattr(model, "backbone", None)
    return backbone if isinstance(backbone, PromptedViT) else None


def in_float32(model: BaseModel) -> BaseModel:
    """Let a model compute in float32, in place, also where its trunk was trained in half precision.

    Raises:
        InputError: a trunk in int8.
    """
    vit = prompted_vit(model)
    if is_quantized(model):
        raise InputError(
            "the frozen trunk of this model is in int8 (trunk_quantization='int8'), which torch.export and ONNX cannot "
            "represent here; export a model that was trained without it"
        )
    if vit is not None:
        vit.precision = Precision()
    return model.float()


def exportable_copy(model: BaseModel) -> BaseModel:
    """Return a folded copy of a model, without what prediction does not run."""
    model = copy.deepcopy(model)
    model.auxiliary_head = None
    vit = prompted_vit(model)
    if vit is not None:
        vit.fold()
        vit.trunk.blocks = vit.trunk.blocks[: vit.last + 1]
    for module in model.modules():
        module.__class__ = EXPORTABLE.get(type(module), type(module))
    return model.eval().requires_grad_(False)


def halve(model: BaseModel) -> None:
    """Convert a model to float16, in place; rotary positions are still computed in float32."""
    vit = prompted_vit(model)
    rotary = copy.deepcopy(getattr(vit.trunk, "rope", None)) if vit is not None else None
    model.half()
    if vit is not None and rotary is not None:
        vit.trunk.rope = rotary
