"""Training in float16 with a scaler, and in bfloat16: a hundred steps, and gradients against float32."""

from __future__ import annotations

import math
from typing import Any

import torch

from .report import DIFFERS, Found, Skip, within
from .scale import Scale
from .task import build, by_owner, draw, error, gradients, learned, total

#: Most relative error of gradients to float32's: about ten times what autocast on a CPU showed for these models.
TOLERANCES = {torch.float16: 1e-2, torch.bfloat16: 6e-2}
FALL = 0.9  # the mean of the last ten losses, at most, as a share of the first ten's


def gradient_errors(method: str, scale: Scale, dtype: torch.dtype) -> dict[str, float]:
    """Compare the first batch's gradients under autocast with float32's, those of the ViT and of the head apart."""
    model, batch = build(method, scale), draw(scale)
    exact = by_owner(gradients(model, batch))
    with torch.autocast(scale.device.type, dtype):
        factor = 1024.0 if dtype is torch.float16 else 1.0  # as a GradScaler would, small enough not to overflow here
        found = by_owner(gradients(model, batch, factor))
    return {owner: error(found[owner], exact[owner]) for owner in exact}


def train(method: str, scale: Scale, dtype: torch.dtype) -> dict[str, Any]:
    """Train for the scale's steps, or half of them in bfloat16; return the losses and the steps that were skipped."""
    model, optimizer, scaler = trainer(method, scale, dtype)
    losses, skipped = [], []
    for step in range(scale.steps if dtype is torch.float16 else scale.steps // 2):
        before = scaler.get_scale()
        losses.append(train_step(model, optimizer, scaler, draw(scale, step), dtype))
        if scaler.get_scale() < before:
            skipped.append(step)
    return dict(losses=losses, skipped=skipped, scale=scaler.get_scale())


def trainer(
    method: str, scale: Scale, dtype: torch.dtype, **further: Any
) -> tuple[torch.nn.Module, torch.optim.Optimizer, torch.amp.GradScaler]:
    """Build a model, its optimizer and its scaler, which does nothing unless the type is float16."""
    model = build(method, scale, **further)
    optimizer = torch.optim.AdamW(learned(model).values(), lr=scale.rate)
    return model, optimizer, torch.amp.GradScaler(scale.device.type, enabled=dtype is torch.float16)


def train_step(
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    batch: tuple[torch.Tensor, torch.Tensor],
    dtype: torch.dtype,
) -> float:
    """Run one step of optimisation under autocast; return the loss."""
    with torch.autocast(batch[0].device.type, dtype):
        losses = model(*batch)
    loss = total(losses)
    optimizer.zero_grad()
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()
    return loss.item()


def check(method: str, scale: Scale, dtype: torch.dtype) -> Found:
    """Train, and compare gradients: losses finite and falling, no step skipped in the second half, gradients close.

    Raises:
        Skip: the GPU has no arithmetic in the type.
    """
    if dtype is torch.bfloat16 and scale.half is not torch.bfloat16:
        raise Skip("this GPU does not compute in bfloat16")
    run = train(method, scale, dtype)
    losses, skipped = run["losses"], run["skipped"]
    first, last = (sum(ten) / 10 for ten in (losses[:10], losses[-10:]))
    late = [step for step in skipped if step >= len(losses) // 2]
    errors = gradient_errors(method, scale, dtype)
    found = within({f"gradients of the {owner}": (value, TOLERANCES[dtype]) for owner, value in errors.items()})
    wrong = [
        *([] if all(map(math.isfinite, losses)) else ["a loss is not finite"]),
        *([] if last <= FALL * first else [f"the loss does not fall to {FALL} of its start"]),
        *([f"overflow still at steps {late}"] if late else []),
    ]
    detail = f"loss {first:.2f} to {last:.2f} in {len(losses)} steps, {len(skipped)} skipped; {found.detail}"
    return Found(
        DIFFERS if wrong else found.status, "; ".join([*wrong, detail]), {**found.figures, **run, "errors": errors}
    )
