"""Error of a diverged training, with likely causes and advice."""

from __future__ import annotations

import math
import os.path as osp
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Optional

import torch
from mmengine.runner import Runner
from torch import nn

from ..errors import DivergedError
from .guided import bare_model

OVERFLOW = "float16 overflow (bfloat16 has none: optim_wrapper.type=AutocastOptimWrapper)"


def diverged(runner: Runner, what: str, causes: Sequence[str]) -> DivergedError:
    """Return the error that ends a diverged training.

    Args:
        runner: runner of the training.
        what: clause that describes what happened.
        causes: likely causes, the likeliest first.
    """
    rates = ", ".join(f"{name} {max(values):g}" for name, values in runner.optim_wrapper.get_lr().items() if values)
    checkpoint = last_checkpoint(runner)
    written = " No checkpoint with such parameters was written."
    if checkpoint:
        advice = (
            f"The last checkpoint with finite parameters is {checkpoint}: resume from it (--resume {checkpoint}; an "
            "earlier one if the loss was already growing there) with a lower optim_wrapper.optimizer.lr"
        )
    else:
        written = ""
        advice = "No checkpoint was written: start again with a lower optim_wrapper.optimizer.lr"
    return DivergedError(
        f"The training diverged: {what}. Likely cause: "
        f"{'; or '.join(causes)} (the rate is now: {rates}). {advice}, or limit gradients "
        f"(optim_wrapper.clip_grad=dict(max_norm=1.0)).{written}"
    )


def last_checkpoint(runner: Runner) -> Optional[str]:
    """Return the newest checkpoint of this run, or the one that it resumed from; None if there is none."""
    resumed = runner.cfg.get("load_from") if runner._resume else None
    candidates = (runner.message_hub.runtime_info.get("last_ckpt"), resumed)
    return next((str(path) for path in candidates if path and osp.isfile(path)), None)


def causes(runner: Runner, data_batch: Any, first: bool, scaled: bool) -> list[str]:
    """Return likely causes of a loss that is not finite, the likeliest first.

    Args:
        runner: runner of the training.
        data_batch: batch of the iteration.
        first: whether this is the first step of the run.
        scaled: whether the training is in float16 with a loss scaler.
    """
    found = list(_of_batch(data_batch, bare_model(runner)))
    if first and not found:
        found.append("starting weights, images or arguments of a loss: this is the first step of this run")
    if scaled:
        found.append(OVERFLOW)
    return found if first else [*found, f"a learning rate that is too high; {_history(runner)}"]


def _history(runner: Runner) -> str:
    scalars = runner.message_hub.log_scalars
    logged = scalars["train/loss"].data[0][-50:].tolist() if "train/loss" in scalars else []
    values = [f"{value:.4g}" for value in logged if math.isfinite(value)]
    return f"the last finite losses were {', '.join(values[-3:])}" if values else "no loss of this run was finite"


def _of_batch(data_batch: Any, model: nn.Module) -> Iterator[str]:
    """Yield causes in the batch itself."""
    if not isinstance(data_batch, Mapping):
        return
    images = data_batch.get("inputs")
    images = images if isinstance(images, (list, tuple)) else [images]
    if any(isinstance(i, torch.Tensor) and i.is_floating_point() and not i.isfinite().all() for i in images):
        yield "images of this batch hold NaN or infinity"
    ignored = getattr(getattr(model, "decode_head", None), "ignore_index", 255)
    maps = [getattr(sample, "gt_sem_seg", None) for sample in data_batch.get("data_samples") or ()]
    labels = [labels.data for labels in maps if labels is not None]
    if labels and all(bool((each == ignored).all()) for each in labels):
        yield f"all labels of this batch are void ({ignored}): check these masks"
