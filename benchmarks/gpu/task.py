"""A small real task for the correctness checks: which of six colours is a square of a noisy image?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Optional

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from davpt_seg.core import PromptedViT

from .methods import arguments
from .scale import Scale

NUM_CLASSES, SQUARES, NOISE = 6, 4, 0.5


class Segmenter(nn.Module):
    """A prompted ViT under a linear classifier of its last map's patches.

    Args:
        vit: with ``norm_maps=True``.
        num_classes: number of classes.
        dropout: dropout of the classifier's input.
    """

    def __init__(self, vit: PromptedViT, num_classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.vit = vit
        self.dropout = nn.Dropout2d(dropout)
        self.head = nn.Conv2d(vit.embed_dim, num_classes, 1)

    def forward(self, images: Tensor, labels: Optional[Tensor] = None, upsample: bool = False) -> Any:
        """Return logits (B, C, h, w) of images; with labels (B, H, W), the losses instead.

        Args:
            images: (B, 3, H, W), normalised.
            labels: (B, H, W), integers; 255 is void.
            upsample: compare at the labels' size and not at the map's.
        """
        features = self.vit(images)
        logits = self.head(self.dropout(features.maps[0]))
        if labels is None:
            return logits
        if upsample:
            logits = F.interpolate(logits, labels.shape[1:], mode="bilinear", align_corners=False)
            task = F.cross_entropy(logits, labels, ignore_index=255)
        else:  # flat: the loss of maps has no deterministic form on CUDA
            target = F.interpolate(labels[:, None].float(), logits.shape[2:], mode="nearest-exact")[:, 0].long()
            task = F.cross_entropy(logits.movedim(1, -1).flatten(0, -2), target.flatten())
        metric = self.vit.guidance(features.records, labels) if self.vit.guidance and features.records else {}
        return {"loss_task": task, **metric}


def draw(scale: Scale, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Draw images (B, 3, H, W) of coloured squares under noise, and their labels (B, H, W)."""
    generator = torch.Generator().manual_seed(seed)
    colours = torch.randn(NUM_CLASSES, 3, generator=torch.Generator().manual_seed(1))
    cells = torch.randint(NUM_CLASSES, (scale.batch, 1, SQUARES, SQUARES), generator=generator)
    labels = F.interpolate(cells.float(), (scale.size, scale.size), mode="nearest-exact")[:, 0].long()
    images = colours[labels].movedim(-1, 1).to(scale.device)
    generator = torch.Generator(scale.device).manual_seed(seed)  # a GPU draws millions of numbers much faster
    noise = torch.randn(images.shape, generator=generator, device=scale.device)
    return images + NOISE * noise, labels.to(scale.device)


def build(method: str, scale: Scale, seed: int = 0, depth: Optional[int] = None, **further: Any) -> Segmenter:
    """Build a method on a trunk of random weights, the same for every method, in training mode.

    Raises:
        Skip: this installation cannot run the method.
    """
    own = {**arguments(method, NUM_CLASSES), **further}
    timm_kwargs = {**scale.timm_kwargs, **({} if depth is None else {"depth": depth})}
    torch.manual_seed(seed)
    vit = PromptedViT(scale.trunk, norm_maps=True, timm_kwargs=timm_kwargs, **own)
    torch.manual_seed(seed)
    return Segmenter(vit, NUM_CLASSES).to(scale.device).train()


def learned(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters that are trained, by name."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def total(losses: Mapping[str, Tensor]) -> Tensor:
    """Add up losses in float32."""
    return torch.stack([loss.float() for loss in losses.values()]).sum()


def gradients(model: nn.Module, batch: Sequence[Tensor], factor: float = 1.0) -> dict[str, Tensor]:
    """Return the gradients of one batch in float32, by parameter; the loss is multiplied by a factor on the way."""
    parameters = learned(model)
    found = torch.autograd.grad(total(model(*batch)) * factor, list(parameters.values()), allow_unused=True)
    return {
        name: torch.zeros_like(parameter, dtype=torch.float32) if one is None else one.float() / factor
        for (name, parameter), one in zip(parameters.items(), found)
    }


def error(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> float:
    """Return the relative error: the norm of the difference to the norm of what was expected, over all tensors."""
    difference = torch.stack([(found[name] - one).double().norm() for name, one in expected.items()]).norm()
    norm = torch.stack([one.double().norm() for one in expected.values()]).norm()
    return float(difference / norm) if float(norm) else float(difference)


def by_owner(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Split by the first part of the name: those of the ``vit``, and those of the ``head``."""
    owners: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        owners.setdefault(name.partition(".")[0], {})[name] = tensor
    return owners
