"""One training run on CamVid in a few lines, without OpenMMLab, and its score."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any, NamedTuple, Optional

import torch
import torch.nn.functional as F
from torch import Tensor

from davpt_seg.core import PromptedViT

from .camvid import NUM_CLASSES, Split, augmented, normalised
from .methods import arguments
from .scale import Scale
from .task import Segmenter, learned, total

MODEL = "vit_small_patch14_dinov2.lvd142m"
HEAD_RATE = 1.6e-2  # of linear probing, searched for at commit 791ef08
#: Of what a method trains in the ViT: found there for VPT-Deep and DA-VPT, 1e-3 for the others.
RATES = {"vpt_deep": 4e-3, "davpt": 4e-3}
OTHER_RATE = 1e-3
WEIGHT_DECAY, DROPOUT, WARMUP = 1e-4, 0.1, 0.05


class Setup(NamedTuple):
    """What all runs share.

    Attributes:
        scale: where they run.
        weights: the ViT-S/14's, or None for a tiny ViT of random weights.
        train: training images.
        test: test images.
        batch: images of a step.
        crop: (height, width) of the training crops, multiples of the patch.
    """

    scale: Scale
    weights: Optional[Path]
    train: Split
    test: Split
    batch: int
    crop: tuple[int, int]

    @property
    def steps_per_epoch(self) -> int:
        """Full batches of an epoch."""
        return len(self.train.images) // self.batch


class Trainer:
    """A method in training.

    Args:
        setup: what all runs share.
        method: a name of :data:`~.methods.METHODS`.
        seed: of initial values, order, crops and dropout.
        steps: number of steps of the run, which its learning rate follows.

    Raises:
        Skip: this installation cannot run the method.
    """

    def __init__(self, setup: Setup, method: str, seed: int, steps: int) -> None:
        self.setup, self.steps = setup, steps
        self.done = 0
        torch.manual_seed(seed)
        self.generator = torch.Generator().manual_seed(seed)
        self.order: list[int] = []
        own = arguments(method, NUM_CLASSES)
        if setup.weights is None:
            own.update(model_name=setup.scale.trunk, timm_kwargs=setup.scale.timm_kwargs)
        else:
            own.update(model_name=MODEL, weights=setup.weights)
        vit = PromptedViT(**own, norm_maps=True)
        torch.manual_seed(seed)  # the same head and dropout, whatever the method drew
        self.model = Segmenter(vit, NUM_CLASSES, DROPOUT).to(setup.scale.device).train()
        groups: dict[bool, list[Any]] = {True: [], False: []}
        for name, parameter in learned(self.model).items():
            groups[name.startswith("head.")].append(parameter)
        rates = {True: HEAD_RATE, False: RATES.get(method, OTHER_RATE)}
        self.optimizer = torch.optim.AdamW(
            [dict(params=groups[head], lr=rates[head]) for head in groups if groups[head]], weight_decay=WEIGHT_DECAY
        )
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, self._rate)
        self.scaler = torch.amp.GradScaler(setup.scale.device.type, enabled=setup.scale.half is torch.float16)

    def _rate(self, step: int) -> float:
        """Return the share of the full rate: linear warm-up, then cosine."""
        warm = max(1, round(WARMUP * self.steps))
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, self.steps - warm)))

    def step(self) -> Tensor:
        """Run one step; return the loss, still on the device."""
        setup = self.setup
        if len(self.order) < setup.batch:
            self.order = torch.randperm(len(setup.train.images), generator=self.generator).tolist()
        chosen, self.order = self.order[: setup.batch], self.order[setup.batch :]
        index = torch.tensor(chosen, device=setup.scale.device)
        batch = augmented(Split(setup.train.images[index], setup.train.labels[index]), setup.crop, self.generator)
        with torch.autocast(setup.scale.device.type, setup.scale.half):
            loss = total(self.model(*batch, upsample=True))
        self.optimizer.zero_grad()
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.done + 1 < self.steps:
            self.schedule.step()
        self.done += 1
        return loss.detach()

    @torch.inference_mode()
    def score(self) -> tuple[float, list[float]]:
        """Return the mIoU of the test images in percent, and the IoU of each class (NaN where it does not occur)."""
        setup = self.setup
        confusion = torch.zeros(NUM_CLASSES, NUM_CLASSES, dtype=torch.long, device=setup.scale.device)
        self.model.eval()
        for start in range(0, len(setup.test.images), setup.batch):
            part = slice(start, start + setup.batch)
            labels = setup.test.labels[part].long()
            with torch.autocast(setup.scale.device.type, setup.scale.half):
                logits = self.model(normalised(setup.test.images[part]))
            logits = F.interpolate(logits.float(), labels.shape[1:], mode="bilinear", align_corners=False)
            known = labels < NUM_CLASSES
            pairs = labels[known] * NUM_CLASSES + logits.argmax(1)[known]
            confusion += torch.bincount(pairs, minlength=NUM_CLASSES**2).view_as(confusion)
        self.model.train()
        hits = confusion.diag()
        each = 100 * hits.double() / (confusion.sum(0) + confusion.sum(1) - hits)  # 0 / 0 is NaN
        return float(each.nanmean()), each.tolist()


def quiet() -> None:
    """Keep the package's notes on weights, one a run, out of the table."""
    logging.getLogger("davpt_seg").setLevel(logging.ERROR)
