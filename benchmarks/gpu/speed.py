"""Part two: time and memory of a training step to the bare trunk's, and images per second, folded and not."""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from functools import partial
from typing import Any, Optional

import torch
from arms import Arm, assemble
from measuring import NUM_CLASSES, draw_batch, floor, held_for_backward, peak, ratio, through_blocks, timed, train_step
from torch import Tensor

from davpt_seg.core import PromptedViT

from .methods import METHODS, arguments
from .report import MEASURED, SKIPPED, Found, Report
from .scale import Scale, Speed
from .schedule import Schedule

PART = "speed"
BARE = "bare trunk"
TIMED = [name for name in METHODS if not name.startswith("davpt") or name == "davpt_plus"]
#: In the order of importance, since there may not be time to compile all of them.
COMPILED = (BARE, "vpt_deep", "vpt_deep+zero_start", "davpt_plus", "lora", "full", "linear")


class Bench:
    """One trunk, and the methods on its weights.

    Args:
        scale: what runs.
        speed: the trunk, and the size of images and batch.
    """

    def __init__(self, scale: Scale, speed: Speed) -> None:
        self.scale, self.speed = scale, speed
        self.options = argparse.Namespace(
            device=scale.device, image_size=speed.image_size, batch_size=speed.batch_size, amp=True, threads=0
        )
        torch.manual_seed(0)
        with scale.device:  # a large ViT's random weights take seconds on a CPU
            self.bare = PromptedViT(speed.trunk).to(scale.device)
        self.batch = draw_batch(self.options)

    def arm(self, method: str) -> Arm:
        """Build a method."""
        return assemble(self.speed.trunk, arguments(method, NUM_CLASSES), self.bare, self.batch, self.options)

    def step(self, arm: Arm) -> Callable[[], None]:
        """Return a call that runs a training step."""
        arm.model.train()
        return partial(train_step, arm.losses, arm.optimizer, self.options, self.scale.half)

    def floor(self, walk: Callable[..., Any] = through_blocks) -> Callable[[], None]:
        """Return a call that runs the bare trunk forward and back to the embedded tokens."""
        losses = partial(floor, self.bare, self.batch[0], walk)
        return partial(train_step, losses, None, self.options, self.scale.half)

    def rounds(self, calls: dict[str, Callable[[], Any]]) -> dict[str, list[float]]:
        """Time calls in turns, after the warm-up; return the seconds of each round."""
        seconds: dict[str, list[float]] = {name: [] for name in calls}
        for i in range(self.scale.warmup + self.scale.rounds):
            for name, call in calls.items():
                needed = timed(call, self.options)
                if i >= self.scale.warmup:
                    seconds[name].append(needed)
        return seconds

    def memory(self, arm: Optional[Arm], call: Callable[[], Any]) -> dict[str, float]:
        """Measure MiB: on a GPU the step's peak, all weights included; on a CPU what is held for the backward pass."""
        if self.scale.cuda:
            extra = 0 if arm is None else sum(one.nbytes for one in self.bare.parameters() if _copied(arm, one))
            return dict(mebibytes=(peak(call, self.scale.device) - extra) / 2**20)
        losses = arm.losses if arm else partial(floor, self.bare, self.batch[0])
        return dict(mebibytes=held_for_backward(losses, arm.model if arm else self.bare, True) / 2**20)


def _copied(arm: Arm, weight: Tensor) -> bool:
    """Return whether an arm has a copy of a bare trunk's weight, so that the bare one's memory is not the method's."""
    return all(weight.data_ptr() != own.data_ptr() for own in arm.model.parameters())


def step_line(bench: Bench, method: str) -> Found:
    """Time the training step of a method, and of the bare trunk in the same rounds."""
    if method == BARE:
        seconds = bench.rounds({BARE: bench.floor()})[BARE]
        return measured(seconds, bench.memory(None, bench.floor()))
    arm = bench.arm(method)._replace(folded=None)  # whose own weights would count as the step's memory
    step = bench.step(arm)
    seconds = bench.rounds({BARE: bench.floor(), method: step})
    tuned = sum(one.numel() for one in arm.model.parameters() if one.requires_grad)
    return measured(seconds[method], {**bench.memory(arm, step), "tuned": tuned}, seconds[BARE])


def compiled_line(scale: Scale, speed: Speed, method: str, bare: list[float]) -> Found:
    """Time a compiled method.

    Args:
        scale: what runs.
        speed: the trunk.
        method: the method, or the bare trunk, which comes first.
        bare: seconds of the compiled bare trunk's rounds, filled by its line and compared with by the others.
    """
    torch._dynamo.reset()
    bench = Bench(scale, speed)  # no other trunk is there, whose memory would count
    backend = "aot_eager" if scale.smoke else "inductor"
    arm = None if method == BARE else bench.arm(method)._replace(folded=None)
    if arm is None:
        step = bench.floor(torch.compile(through_blocks, backend=backend))
    else:
        arm.model.compile(backend=backend)
        step = bench.step(arm)
    try:
        seconds = bench.rounds({method: step})[method]
        memory = bench.memory(arm, step) if scale.cuda else {}
    finally:
        torch._dynamo.reset()
    if arm is None:
        bare[:] = seconds
    return measured(seconds, {**memory, "backend": backend}, None if arm is None else bare)


def measured(seconds: list[float], further: dict[str, Any], bare: Optional[list[float]] = None) -> Found:
    """Make a line of seconds, of those of the bare trunk in the same rounds, and of memory."""
    parts = [f"{1000 * statistics.median(seconds):.1f} ms"]
    figures: dict[str, Any] = dict(seconds=seconds, **further)
    if bare:
        figures.update(bare=bare, ratio=ratio(seconds, bare)._asdict())
        parts.append(f"{ratio(seconds, bare)} of the bare trunk")
    if "mebibytes" in further:
        parts.append(f"{further['mebibytes']:,.0f} MiB")
    return Found(MEASURED, ", ".join(parts), figures)


def inference_line(bench: Bench, method: str) -> Found:
    """Time the forward pass as a deployed model runs it, before and after fold()."""
    arm, images = bench.arm(method), bench.batch[0]
    models = dict(unfolded=arm.model.eval(), **({} if arm.folded is None else dict(folded=arm.folded.eval())))

    def infer(model: PromptedViT) -> None:
        with torch.inference_mode(), torch.autocast(bench.scale.device.type, bench.scale.half):
            model(images)

    calls = {name: partial(infer, model) for name, model in dict(bare=bench.bare.eval(), **models).items()}
    seconds = bench.rounds(calls)
    per_second = {name: len(images) / statistics.median(one) for name, one in seconds.items()}
    detail = ", ".join(f"{name} {value:,.0f} images/s" for name, value in per_second.items())
    return Found(MEASURED, detail, dict(seconds=seconds, images_per_second=per_second))


def run(report: Report, scale: Scale, schedule: Schedule) -> None:
    """Measure all trunks: eager first, then compiled as far as the time goes."""
    for speed in scale.speeds:
        eager(report, scale, speed)
    longest = dict.fromkeys(scale.speeds, 0.0)  # seconds of a compiled line, by trunk
    bare: dict[Speed, list[float]] = {speed: [] for speed in scale.speeds}
    for method in COMPILED[: 2 if scale.smoke else None]:
        for speed in scale.speeds:
            name = f"compiled step: {method} ({speed.trunk})"
            if schedule.left(PART) <= (longest[speed] or max(longest.values())):
                report.add(PART, name, Found(SKIPPED, "no time left for it: --parts speed, or more --minutes"))
            else:
                line = report.attempt(PART, name, partial(compiled_line, scale, speed, method, bare[speed]))
                longest[speed] = max(longest[speed], line.seconds)


def eager(report: Report, scale: Scale, speed: Speed) -> None:
    """Measure the methods on one trunk."""
    opened: list[Bench] = []
    report.attempt(PART, speed.title, partial(_open, opened, scale, speed))
    for bench in opened:
        for method in (BARE, *TIMED):
            report.attempt(PART, f"step: {method}", partial(step_line, bench, method))
        for method in ("vpt_deep", "vpt_deep+zero_start", "lora"):
            report.attempt(PART, f"inference: {method}", partial(inference_line, bench, method))


def _open(opened: list[Bench], scale: Scale, speed: Speed) -> Found:
    opened.append(Bench(scale, speed))
    half = str(scale.half).removeprefix("torch.")
    return Found(MEASURED, f"random weights, autocast to {half}, {scale.rounds} rounds after {scale.warmup}")
