"""Measures how much a trained model's loss depends on each prompt, and keeps that as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.model import BaseModel
from mmengine.runner import Runner
from rich.console import Console
from rich.progress import track
from torch import Tensor

from ..core.adapters.pruning import Importance, prompt_importance
from ..engine.atomic_files import AtomicLocalBackend
from ..errors import InputError
from .trained import load_trained

RANKINGS = ("masks", "segments")


class Measured(NamedTuple):
    """Importance, and what it was measured with: ``config``, ``checkpoint``, ``data``, ``images``, ``loss``, ..."""

    importance: Importance
    about: dict[str, Any]

    def in_words(self) -> str:
        """Say what it was measured on."""
        about = self.about
        return (
            f"{about['images']} images ({about['data']}) in {about['batches']} batches, mean loss {about['loss']:.4f}"
        )

    def ranked(self, by: str) -> Measured:
        """Rank prompts by masks on them (as measured), or by the sum of their segments' importances."""
        prompts, segments = self.importance
        return Measured(Importance(prompts if by == "masks" else segments.sum(dim=1), segments), self.about)

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        content = dict(
            about=self.about, prompts=self.importance.prompts.tolist(), segments=self.importance.segments.tolist()
        )
        AtomicLocalBackend().put_text(json.dumps(content, indent=1) + "\n", path)

    @classmethod
    def read(cls, path: Path) -> Measured:
        """Read what :meth:`write` wrote."""
        content = json.loads(path.read_text())
        numbers = (torch.tensor(content[what], dtype=torch.float64) for what in ("prompts", "segments"))
        return cls(Importance(*numbers), content["about"])


def measure(cfg: Config, checkpoint: str, loader: Mapping[str, Any], segments: int, name: str) -> Measured:
    """Measure the importance of a trained model's prompts by its own loss, in eval mode and float32.

    Args:
        cfg: the experiment.
        checkpoint: what its training left.
        loader: config of the loader of held-out images with labels.
        segments: of a prompt.
        name: what the user calls the config.

    Raises:
        InputError: a checkpoint that is not of this config, or a loss that is not finite.
    """
    model = load_trained(cfg, checkpoint, f"{name} with these --cfg-options").to(get_device())
    batches = Runner.build_dataloader(dict(loader), seed=0)
    losses: list[float] = []

    def loss(batch: Any) -> Tensor:
        found = task_loss(model, batch)
        losses.append(float(found.detach()))
        if not math.isfinite(losses[-1]):
            raise InputError(f"{name}: the loss is {losses[-1]} on batch {len(losses)} of held-out images")
        return found

    shown = track(batches, description="measuring importance", console=Console(stderr=True))
    importance = prompt_importance(model.get_submodule("backbone").prompts, shown, loss, segments)
    about = dict(
        config=name,
        checkpoint=checkpoint,
        data=_named(batches.dataset),
        images=len(batches.dataset),
        batches=len(losses),
        loss=sum(losses) / len(losses),
    )
    return Measured(importance, about)


def _named(dataset: Any) -> str:
    """Name a data set, its split or part, and where its images are."""
    prefix = getattr(dataset, "data_prefix", None) or {}
    parts = (getattr(dataset, "name", type(dataset).__name__), getattr(dataset, "split", None), prefix.get("img_path"))
    return " ".join(str(part) for part in parts if part)


def task_loss(model: BaseModel, batch: Any) -> Tensor:
    """Return a model's own loss on a batch, all heads', with gradients; not augmented, since nothing is trained."""
    data = model.data_preprocessor(batch, False)
    total, _ = model.parse_losses(model(**data, mode="loss"))
    return total
