"""TensorBoard and Weights & Biases: what their options add to the config of a training."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Optional

from mmengine.config import Config
from mmengine.runner import Runner

from ..audit.preflight import unwrapped
from ..datasets.pipelines import loading_steps, resizes_annotations
from ..errors import InputError
from .backends import LOCAL, TENSORBOARD, WANDB, listed, name_of

NO_LOGIN = (
    "--wandb: this computer is not logged in to W&B. Run 'wandb login' once, or set WANDB_API_KEY; or set "
    "WANDB_MODE=offline, which needs neither login nor network and writes to the work dir, and upload later by "
    "'wandb sync'"
)


def watch(cfg: Config, tensorboard: bool = False, wandb: Optional[str] = None) -> None:
    """Log a training to TensorBoard and W&B, too, with more curves and a panel of predictions.

    A config that names such a backend itself gets the curves and the panel as well, and the local log if it lacks it.

    Args:
        cfg: config of the training; changed in place. :func:`~davpt_seg.training.curve_files.placed` says where its
            backends write.
        tensorboard: whether to write TensorBoard's files.
        wandb: W&B project, or ``ENTITY/PROJECT``; None for no W&B.

    Raises:
        ModuleNotFoundError: the package is not installed.
        InputError: no login to W&B, or a project that has no name.
    """
    backends = listed(cfg.get("visualizer") or {})
    if tensorboard and TENSORBOARD not in map(name_of, backends):
        backends.append(dict(type=TENSORBOARD))
    if wandb is not None and not any(name_of(each) in WANDB for each in backends):
        backends.append(dict(type=WANDB[0], init_kwargs=_project(wandb)))
    names = {name_of(each) for each in backends}
    if LOCAL not in names:
        backends.insert(0, dict(type=LOCAL))
    if TENSORBOARD in names:
        import tensorboard as _  # noqa: F401  (torch's own error does not name the package)
    if names & set(WANDB):
        check_login()
    if names <= {LOCAL}:
        return
    cfg.visualizer = dict(cfg.get("visualizer") or dict(type="Visualizer"), vis_backends=backends)
    _add_curves(cfg)


def backends_of(cfg: Config) -> str:
    """Return the names of what a training is logged to besides its local log; empty if nothing."""
    names = [name_of(each) for each in listed(cfg.get("visualizer") or {})]
    words = {TENSORBOARD: "TensorBoard", **dict.fromkeys(WANDB, f"W&B ({os.environ.get('WANDB_MODE', 'online')})")}
    return ", ".join(words.get(name, name) for name in names if name != LOCAL)


def without_backends(cfg: Config) -> None:
    """Log nothing but locally: a dry run or a test leaves no curves."""
    if cfg.get("visualizer"):
        cfg.visualizer.vis_backends = [each for each in listed(cfg.visualizer) if name_of(each) == LOCAL]


def check_login() -> None:
    """Refuse a training that W&B would interrupt by asking for a login.

    Raises:
        InputError: no login, and W&B is not offline.
    """
    import wandb

    if wandb.setup().settings.mode in ("offline", "dryrun", "disabled"):
        return
    if not wandb.login(prompt=False, verify=False):
        raise InputError(NO_LOGIN)


@contextmanager
def closed(runner: Runner) -> Iterator[None]:
    """Write what backends hold in memory, however the training inside ends."""
    try:
        yield
    finally:
        runner.visualizer.close()


def _project(wandb: str) -> dict[str, str]:
    """Return the arguments of ``wandb.init`` for a project."""
    entity, _, name = wandb.rpartition("/")
    if not name.strip():
        raise InputError(f"--wandb {wandb!r}: name a project, or ENTITY/PROJECT")
    return dict(project=name, **({"entity": entity} if entity else {}))


def _add_curves(cfg: Config) -> None:
    """Add the hooks that log more curves and the panel, all over iterations."""
    hooks = [dict(hook) for hook in cfg.get("custom_hooks") or ()]
    for hook in hooks:
        if name_of(hook) == "MetricLossHook":
            hook.setdefault("log_stats", True)
    dataset = unwrapped((cfg.get("val_dataloader") or {}).get("dataset") or {})
    there = {name_of(hook) for hook in hooks}
    if "CurvesHook" not in there:
        hooks.append(dict(type="CurvesHook"))
    if "PanelHook" not in there:
        pipeline = dataset.get("pipeline") or ()
        loading = loading_steps(pipeline)
        if loading or not pipeline:  # files of a custom loader may be no images
            true_objects = not resizes_annotations(pipeline)
            hooks.append(dict(type="PanelHook", loading=loading, true_objects=true_objects))
    cfg.custom_hooks = hooks
    logger = (cfg.get("default_hooks") or {}).get("logger")
    if logger:
        logger.log_metric_by_epoch = False  # or scores would be at epochs, and losses at iterations
