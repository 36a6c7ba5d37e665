"""Banks of small ViTs, and what their outputs are compared with: each task's own model on its own image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional

import torch
from torch import Tensor

from davpt_seg.core import Features, PromptedViT
from davpt_seg.core.task_bank import TaskBank

from ..blocks.families import FAMILIES, SMALL, family_vit
from ..test_methods import stir
from ..tiny import TINY, TRAITS, tiny_vit

SIZE = (24, 37)  # a patch of 8 does not divide the width


def images(number: int, size: tuple[int, int] = SIZE) -> Tensor:
    return torch.randn(number, 3, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(number))


class Tasks:
    """A bank, and the models of its tasks.

    Args:
        trunk: a trait of tiny.py or a family of families.py.
    """

    def __init__(self, trunk: str = "plain", **owner: Any) -> None:
        if trunk in TRAITS:
            self.name, self.timm_kwargs = "vit_tiny_patch16_224", {**TINY, **TRAITS[trunk]}
            made = tiny_vit(timm_kwargs=TRAITS[trunk], **owner)
        else:
            changes = FAMILIES[trunk][1]
            self.name, self.timm_kwargs = FAMILIES[trunk][0], {**SMALL, **changes, "embed_dim": 32}
            made = family_vit(trunk, timm_kwargs=dict(embed_dim=32), **owner)
        self.bank = TaskBank(made)
        self.models: dict[str, PromptedViT] = {}

    def model(self, seed: int = 0, **arguments: Any) -> PromptedViT:
        """A model on the bank's trunk, away from where it starts."""
        torch.manual_seed(seed)
        made = PromptedViT(self.name, weights=self.bank.model, timm_kwargs=self.timm_kwargs, **arguments)
        for module in (made.prompts, made.adapters, made.biases):
            if module is not None:
                module.double()
        return stir(made).eval()

    def add(self, task: str, head: Any = None, **arguments: Any) -> PromptedViT:
        """Add a task of a new model."""
        self.models[task] = self.model(len(self.models), **arguments)
        self.bank.add(task, self.models[task], head)
        return self.models[task]

    @torch.no_grad()
    def expected(self, batch: Tensor, tasks: Sequence[str]) -> list[Features]:
        """What the tasks' own models return, image by image."""
        return [self.models[task](batch[row : row + 1]) for row, task in enumerate(tasks)]

    def check(self, tasks: Sequence[str], batch: Optional[Tensor] = None, atol: float = 1e-10) -> None:
        """Compare a mixed batch with the tasks' own models."""
        batch = images(len(tasks)) if batch is None else batch
        for task, found, own in zip(tasks, self.bank.features(batch, tasks), self.expected(batch, tasks)):
            check_features(found, own, task, atol)


def check_features(found: Features, own: Features, task: str, atol: float = 1e-10) -> None:
    assert len(found.maps) == len(own.maps)
    for ours, theirs in zip((*found[:2], *found.maps), (*own[:2], *own.maps)):
        if theirs is None:
            assert ours is None
        else:
            torch.testing.assert_close(ours, theirs, rtol=0, atol=atol, msg=lambda text: f"{task}: {text}")
