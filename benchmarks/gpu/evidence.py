"""Part three: six methods on CamVid, several seeds, paired differences to VPT-Deep."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Optional

import torch

from davpt_seg.benchmark.report.intervals import paired

from . import camvid
from .report import MEASURED, SKIPPED, Found, Report
from .scale import Scale
from .schedule import Schedule
from .training import Setup, Trainer

PART = "evidence"
REFERENCE = "vpt_deep"
METHODS = (REFERENCE, "vpt_deep+zero_start", "lora", "linear", "davpt", "davpt+zero_start")
CROP = (350, 476)  # the most patches of 14 pixels that fit into 360 x 480
BATCH = 16
SPARE = 0.85  # of the time left is planned for; the rest is for what the trial did not show


def load(scale: Scale, weights: Optional[Path], data: Optional[Path]) -> Setup:
    """Load data, on CUDA at the full 360 x 480; without both files, in the smoke form, squares for a tiny ViT."""
    if scale.smoke:
        train, test = camvid.drawn(scale.device)
        return Setup(scale, None, train, test, batch=4, crop=(32, 32))
    assert weights is not None and data is not None  # run() skips the part otherwise
    train, test = camvid.load(data, scale.device)
    return Setup(scale, weights, train, test, batch=BATCH, crop=CROP)


def trial(setup: Setup, method: str, seconds: dict[str, tuple[float, float]]) -> Found:
    """Measure the seconds that a step takes, and those that building and testing take."""
    Trainer(setup, method, seed=0, steps=10)  # the first one is slow
    begun = time.monotonic()
    trainer = Trainer(setup, method, seed=0, steps=10)
    start = time.monotonic() - begun
    steps = 1 if setup.scale.smoke else 6
    for i in range(2 + steps):
        if i == 2:
            _wait(setup.scale)
            begun = time.monotonic()
        trainer.step()
    _wait(setup.scale)
    step = (time.monotonic() - begun) / steps
    trainer.score()
    begun = time.monotonic()
    trainer.score()
    once = start + time.monotonic() - begun
    seconds[method] = step, once
    return Found(MEASURED, f"{1000 * step:.0f} ms a step, {once:.1f} s to build and test", dict(step=step, once=once))


def _wait(scale: Scale) -> None:
    if scale.cuda:
        torch.cuda.synchronize()


def run_line(setup: Setup, method: str, seed: int, epochs: int, scores: dict[str, dict[int, float]]) -> Found:
    """Train one method with one seed, and test it."""
    trainer = Trainer(setup, method, seed, epochs * setup.steps_per_epoch)
    losses = torch.stack([trainer.step() for _ in range(trainer.steps)]).tolist()
    score, each = trainer.score()
    scores.setdefault(method, {})[seed] = score
    figures: dict[str, Any] = dict(miou=score, iou=each, losses=losses, epochs=epochs, seed=seed)
    return Found(MEASURED, f"mIoU {score:.1f}, loss {statistics.mean(losses[-10:]):.3f}", figures)


def summary(report: Report, scores: Mapping[str, Mapping[int, float]], epochs: int) -> None:
    """Add a line for each method: mean, standard deviation, and the paired difference to VPT-Deep."""
    for method, found in scores.items():
        values = list(found.values())
        deviation = statistics.stdev(values) if len(values) > 1 else float("nan")
        detail = f"mIoU {statistics.mean(values):.1f} ± {deviation:.1f} ({len(values)} seeds, {epochs} epochs)"
        figures: dict[str, Any] = dict(scores=dict(found), epochs=epochs)
        if method != REFERENCE and set(found) & set(scores.get(REFERENCE, {})):
            interval = paired(found, scores[REFERENCE])
            detail += f"; to VPT-Deep {interval}"
            figures.update(paired=interval._asdict())
        report.add(PART, f"result: {method}", Found(MEASURED, detail, figures))


def run(
    report: Report, scale: Scale, schedule: Schedule, weights: Optional[Path] = None, data: Optional[Path] = None
) -> None:
    """Run all seeds of all methods, a seed at a time, so that every method has the same number if the time ends."""
    missing = [
        f"{what} {path or 'not given'}" for what, path in (("--weights", weights), ("--camvid", data)) if not path
    ]
    if missing and not scale.smoke:
        report.add(PART, "CamVid", Found(SKIPPED, f"{', '.join(missing)}: needs the ViT-S/14 and CamVid"))
        return
    loaded: list[Setup] = []
    report.attempt(PART, "load data", partial(_load, loaded, scale, weights, data))
    if not loaded:
        return
    seconds: dict[str, tuple[float, float]] = {}
    for method in METHODS:
        report.attempt(PART, f"trial: {method}", partial(trial, loaded[0], method, seconds))
    train(report, loaded[0], schedule, seconds)


def _load(loaded: list[Setup], scale: Scale, weights: Optional[Path], data: Optional[Path]) -> Found:
    setup = load(scale, weights, data)
    loaded.append(setup)
    counts = f"{len(setup.train.images)} training and {len(setup.test.images)} test images"
    size = "x".join(map(str, setup.test.images.shape[2:]))
    return Found(MEASURED, f"{counts} of {size}, crops {setup.crop}, batches of {setup.batch}")


def train(report: Report, setup: Setup, schedule: Schedule, seconds: Mapping[str, tuple[float, float]]) -> None:
    """Choose the number of epochs that fits the time that is left, and run."""
    if not seconds:
        return
    scale, methods = setup.scale, list(seconds)
    epoch = scale.seeds * setup.steps_per_epoch * sum(step for step, _ in seconds.values())
    once = scale.seeds * sum(one for _, one in seconds.values())
    epochs = plan(SPARE * schedule.left(PART), epoch, once, scale.max_epochs)
    scores: dict[str, dict[int, float]] = {}
    done, runs, begun = 0, scale.seeds * len(methods), time.monotonic()
    for seed in range(scale.seeds):
        needed = (time.monotonic() - begun) / max(1, seed)
        if seed and not scale.smoke and schedule.left(PART) < needed:
            report.add(PART, "seeds", Found(SKIPPED, f"no time left for seeds {seed} to {scale.seeds - 1}"))
            break
        for method in methods:
            report.attempt(PART, f"seed {seed}: {method}", partial(run_line, setup, method, seed, epochs, scores))
            done += 1
            eta = (time.monotonic() - begun) / done * (runs - done)
            print(f"        run {done} of {runs}, about {eta:.0f} s to go", flush=True)
    summary(report, scores, epochs)


def plan(seconds: float, epoch: float, once: float, most: int) -> int:
    """Return the number of epochs for ``seconds``: an epoch of all runs takes ``epoch``, and the rest ``once``."""
    return max(1, min(most, int((seconds - once) / epoch)))


def compared(lines: Sequence[Any]) -> dict[str, Any]:
    """Return the result lines' figures by method, for the figure."""
    return {
        line.name.removeprefix("result: "): line.figures
        for line in lines
        if line.part == PART and line.name.startswith("result: ")
    }
