"""Sizes of models and data: for a GPU, and for the smoke form, which a CPU runs in seconds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

TINY: dict[str, Any] = dict(img_size=32, patch_size=8, embed_dim=32, depth=2, num_heads=2)


@dataclass(frozen=True)
class Speed:
    """One trunk of the part on speed."""

    title: str
    trunk: str
    image_size: int
    batch_size: int


@dataclass(frozen=True)
class Scale:
    """What runs, and how large.

    Args:
        device: where all of it runs.
        smoke: the tiny form.
        size: side of the images of the correctness checks, in pixels.
        batch: number of those images.
        steps: optimisation steps of the float16 checks; those of bfloat16 take half of them.
        rate: learning rate there.
        timm_kwargs: of the trunk of the correctness checks, ``vit_tiny_patch16_224``.
        speeds: trunks that are timed.
        rounds: timed rounds of each.
        warmup: rounds before those.
        seeds: number of seeds of the part on evidence.
        max_epochs: the most epochs of a run there.
    """

    device: torch.device
    smoke: bool
    size: int = 224
    batch: int = 16
    steps: int = 100
    rate: float = 1e-3
    timm_kwargs: dict[str, Any] = field(default_factory=dict)
    speeds: tuple[Speed, ...] = (
        Speed("ViT-B/16, 224 pixels, batch 64", "vit_base_patch16_224", 224, 64),
        Speed("ViT-L/16, 512 pixels, batch 16", "vit_large_patch16_224", 512, 16),
    )
    rounds: int = 8
    warmup: int = 3
    seeds: int = 5
    max_epochs: int = 60
    trunk: str = "vit_tiny_patch16_224"

    @property
    def cuda(self) -> bool:
        """Whether the device is a CUDA GPU."""
        return self.device.type == "cuda"

    @property
    def half(self) -> torch.dtype:
        """The 16-bit type for speed and evidence: bfloat16 where the device computes in it, else float16."""
        native = not self.cuda or torch.cuda.get_device_capability(self.device) >= (8, 0)
        return torch.bfloat16 if native else torch.float16


def on_gpu() -> Scale:
    """Return the sizes for a CUDA machine."""
    return Scale(torch.device("cuda"), smoke=False)


def smoke() -> Scale:
    """Return the tiny form for a CPU."""
    return Scale(
        torch.device("cpu"),
        smoke=True,
        size=32,
        batch=4,
        steps=30,
        rate=5e-3,
        timm_kwargs=TINY,
        speeds=(Speed("test_vit, 32 pixels, batch 2", "test_vit", 32, 2),),
        rounds=2,
        warmup=1,
        seeds=2,
        max_epochs=2,
    )
