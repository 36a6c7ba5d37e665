"""Places where the backends of a training write its curves: new ones, or those that a resumed training continues."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from .backends import TENSORBOARD, WANDB, listed, name_of

LOGIN_TIME = 30  # seconds in which W&B must answer
SETTINGS = dict(console="off", init_timeout=LOGIN_TIME, disable_git=True, disable_code=True)


def placed(visualizer: Mapping[str, Any], cfg: Config) -> dict[str, Any]:
    """Return a visualizer's config whose backends write into the training's work dir.

    The training's config is unchanged: another training may start from its copy in the work dir, and must not write
    into this one's curves. What a backend's config says itself takes precedence.

    Args:
        visualizer: config of the visualizer.
        cfg: config of the training, with ``work_dir`` and ``resume``.
    """
    work_dir = Path(cfg.work_dir)
    backends = [_placed(each, work_dir, bool(cfg.get("resume"))) for each in listed(visualizer)]
    return {**visualizer, "vis_backends": backends} if backends else dict(visualizer)


def _placed(backend: Any, work_dir: Path, resume: bool) -> Any:
    if not isinstance(backend, Mapping):
        return backend
    if name_of(backend) == TENSORBOARD and resume:
        events = sorted(work_dir.glob("*/vis_data/events.out.tfevents.*"))
        return {**(dict(save_dir=str(events[-1].parent)) if events else {}), **backend}
    if name_of(backend) == WANDB[0]:
        return {**backend, "init_kwargs": {**_run(work_dir, resume), **(backend.get("init_kwargs") or {})}}
    return backend


def _run(work_dir: Path, resume: bool) -> dict[str, Any]:
    """Return the arguments of ``wandb.init``."""
    named = os.environ.get("WANDB_NAME") or "/".join(work_dir.absolute().parts[-2:])
    run = dict(name=named, dir=str(work_dir), resume="allow", settings=SETTINGS)
    times = sorted(path.name.partition("run-")[2] for path in work_dir.glob("wandb/*run-*-*"))
    if resume and times and not os.environ.get("WANDB_RUN_ID"):
        run["id"] = times[-1].partition("-")[2]  # DATE_TIME-ID
    return run
