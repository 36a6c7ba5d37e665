"""Resuming a training, and folding a trained model."""

from __future__ import annotations

import copy
import io
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from .precision import train_step, trainer
from .report import Found, within
from .scale import Scale
from .task import draw, error, learned

STEPS = 6  # saved in the middle


@contextmanager
def repeatable() -> Iterator[None]:
    """Let PyTorch take deterministic kernels as far as it has them, and plain attention."""
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])


def run(method: str, scale: Scale, interrupted: bool) -> dict[str, Tensor]:
    """Train under float16 autocast with dropout; if interrupted, save and load everything in the middle."""
    dtype = torch.float16
    model, optimizer, scaler = fresh(method, scale, dtype, seed=0)
    torch.manual_seed(2)
    for i in range(STEPS):
        if interrupted and i == STEPS // 2:
            saved = save(model, optimizer, scaler)
            model, optimizer, scaler = fresh(method, scale, dtype, seed=7)  # other initial values, other random state
            load(saved, model, optimizer, scaler)
        train_step(model, optimizer, scaler, draw(scale, i), dtype)
    return {name: parameter.detach().clone() for name, parameter in learned(model).items()}


def fresh(method: str, scale: Scale, dtype: torch.dtype, seed: int) -> tuple[Any, Any, Any]:
    """Build a model with dropout, its optimizer and its scaler."""
    model, optimizer, scaler = trainer(method, scale, dtype, seed=seed)
    model.dropout.p = 0.1
    return model, optimizer, scaler


def save(model: nn.Module, optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler) -> bytes:
    """Save the state of a training, random numbers included."""
    random = dict(cpu=torch.get_rng_state())
    if torch.cuda.is_available():
        random["cuda"] = torch.cuda.get_rng_state()
    file = io.BytesIO()
    states = dict(model=model.state_dict(), optimizer=optimizer.state_dict(), scaler=scaler.state_dict(), random=random)
    torch.save(states, file)
    return file.getvalue()


def load(saved: bytes, model: nn.Module, optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler) -> None:
    """Load what :func:`save` saved."""
    states = torch.load(io.BytesIO(saved), weights_only=True)
    model.load_state_dict(states["model"])
    optimizer.load_state_dict(states["optimizer"])
    scaler.load_state_dict(states["scaler"])
    torch.set_rng_state(states["random"]["cpu"].cpu())
    if "cuda" in states["random"]:
        torch.cuda.set_rng_state(states["random"]["cuda"].cpu())


def check_resume(method: str, scale: Scale) -> Found:
    """Compare an interrupted training with an uninterrupted one; bit for bit if the machine is deterministic."""
    with repeatable():
        uninterrupted, again = (run(method, scale, interrupted=False) for _ in range(2))
        resumed = run(method, scale, interrupted=True)
    noise = error(again, uninterrupted)
    found = within({"parameters": (error(resumed, uninterrupted), 10 * noise)}, dict(noise=noise))
    found.detail += "; this machine is deterministic" if noise == 0 else f"; two equal runs differ {noise:.1e}"
    return found


def check_fold(method: str, scale: Scale) -> Found:
    """Compare a trained model's maps with those after fold(), in float32 and under autocast."""
    model, optimizer, scaler = trainer(method, scale, scale.half)
    for i in range(3):  # so that nothing is at its initial value
        train_step(model, optimizer, scaler, draw(scale, i), scale.half)
    folded = copy.deepcopy(model.vit).fold()
    images, limits = draw(scale)[0], {}
    for dtype, tolerance in ((torch.float32, 1e-5), (scale.half, 2 * torch.finfo(scale.half).eps)):
        with torch.inference_mode(), torch.autocast(scale.device.type, scale.half, enabled=dtype != torch.float32):
            maps = [{"map": one(images).maps[0].float()} for one in (folded, model.vit.eval())]
        limits[str(dtype).removeprefix("torch.")] = (error(*maps), tolerance)
    return within(limits)


def checks(scale: Scale) -> dict[str, Any]:
    """Return the checks of this file by name."""
    return {
        **{
            f"resume: {method}": partial(check_resume, method, scale)
            for method in ("davpt_plus", "vpt_deep+zero_start", "lora")
        },
        **{
            f"fold(): {method}": partial(check_fold, method, scale)
            for method in ("vpt_deep", "vpt_deep+zero_start", "davpt_plus", "lora")
        },
    }
