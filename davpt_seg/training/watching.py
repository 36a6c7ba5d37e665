"""TensorBoard and Weights & Biases: what their options add to the config of a training."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Optional

from mmengine.config import Config
from mmengine.runner import Runner

from ..audit.preflight import unwrapped
from ..datasets.pipelines import loading_steps
from ..errors import InputError

LOCAL, TENSORBOARD = "LocalVisBackend", "TensorboardVisBackend"
WANDB = ("WandbBackend", "WandbVisBackend")
LOGIN_TIME = 30  # seconds in which W&B must answer
NO_LOGIN = (
    "--wandb: this computer is not logged in to W&B. Run 'wandb login' once, or set WANDB_API_KEY; or set "
    "WANDB_MODE=offline, which needs neither login nor network and writes to the work dir, and upload later by "
    "'wandb sync'"
)


def watch(cfg: Config, tensorboard: bool = False, wandb: Optional[str] = None) -> None:
    """Log a training to TensorBoard and W&B, too, with more curves and a panel of predictions.

    A config that names such a backend itself gets the curves and the panel as well, and the local log if it lacks it.

    Args:
        cfg: config after :func:`~davpt_seg.training.start.use_resume`; changed in place. A resumed training continues
            the curves of its work dir.
        tensorboard: whether to write TensorBoard's files.
        wandb: W&B project, or ``ENTITY/PROJECT``; None for no W&B.

    Raises:
        ModuleNotFoundError: the package is not installed.
        InputError: no login to W&B, or a project that has no name.
    """
    backends = _listed(cfg.get("visualizer") or {})
    if tensorboard and TENSORBOARD not in map(_name, backends):
        backends.append(dict(type=TENSORBOARD))
    if wandb is not None and not any(_name(each) in WANDB for each in backends):
        backends.append(dict(type=WANDB[0], init_kwargs=_run(wandb, cfg.work_dir)))
    names = {_name(each) for each in backends}
    if LOCAL not in names:
        backends.insert(0, dict(type=LOCAL))
    if TENSORBOARD in names:
        import tensorboard as _  # noqa: F401  (torch's own error does not name the package)
    if names & set(WANDB):
        check_login()
    if names <= {LOCAL}:
        return
    if cfg.get("resume"):
        _continue_curves(backends, Path(cfg.work_dir))
    cfg.visualizer = dict(cfg.get("visualizer") or dict(type="Visualizer"), vis_backends=backends)
    _add_curves(cfg)


def backends_of(cfg: Config) -> str:
    """Return the names of what a training is logged to besides its local log; empty if nothing."""
    names = [_name(each) for each in _listed(cfg.get("visualizer") or {})]
    words = {TENSORBOARD: "TensorBoard", **dict.fromkeys(WANDB, f"W&B ({os.environ.get('WANDB_MODE', 'online')})")}
    return ", ".join(words.get(name, name) for name in names if name != LOCAL)


def without_backends(cfg: Config) -> None:
    """Log nothing but locally: a dry run leaves no curves."""
    if cfg.get("visualizer"):
        cfg.visualizer.vis_backends = [each for each in _listed(cfg.visualizer) if _name(each) == LOCAL]


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


def _listed(visualizer: Mapping[str, Any]) -> list[Any]:
    found = visualizer.get("vis_backends") or []
    return list(found) if isinstance(found, Sequence) else [found]


def _name(backend: Any) -> str:
    kind = backend.get("type", "") if isinstance(backend, Mapping) else type(backend)
    return (kind if isinstance(kind, str) else kind.__name__).rpartition(".")[2]


def _run(project: str, work_dir: str) -> dict[str, Any]:
    """Return the arguments of ``wandb.init``."""
    entity, _, name = project.rpartition("/")
    if not name.strip():
        raise InputError(f"--wandb {project!r}: name a project, or ENTITY/PROJECT")
    named = os.environ.get("WANDB_NAME") or "/".join(Path(work_dir).absolute().parts[-2:])
    settings = dict(console="off", init_timeout=LOGIN_TIME, disable_git=True, disable_code=True)
    who = {"entity": entity} if entity else {}
    return dict(project=name, **who, name=named, dir=work_dir, resume="allow", settings=settings)


def _continue_curves(backends: Sequence[Any], work_dir: Path) -> None:
    """Let backends append to the files, or the W&B run, that the interrupted training wrote."""
    events = sorted(work_dir.glob("*/vis_data/events.out.tfevents.*"))
    runs = sorted(work_dir.glob("wandb/*run-*-*"), key=lambda path: path.name.partition("run-")[2])
    for backend in (each for each in backends if isinstance(each, Mapping)):
        if _name(backend) == TENSORBOARD and events:
            backend.setdefault("save_dir", str(events[-1].parent))  # type: ignore[attr-defined]
        elif _name(backend) in WANDB and runs:
            backend.setdefault("init_kwargs", {})  # type: ignore[attr-defined]
            backend["init_kwargs"].setdefault("id", runs[-1].name.rpartition("-")[2])


def _add_curves(cfg: Config) -> None:
    """Add the hooks that log more curves and the panel, all over iterations."""
    hooks = [dict(hook) for hook in cfg.get("custom_hooks") or ()]
    for hook in hooks:
        if _name(hook) == "MetricLossHook":
            hook.setdefault("log_stats", True)
    dataset = unwrapped((cfg.get("val_dataloader") or {}).get("dataset") or {})
    there = {_name(hook) for hook in hooks}
    if "CurvesHook" not in there:
        hooks.append(dict(type="CurvesHook"))
    if "PanelHook" not in there:
        hooks.append(dict(type="PanelHook", loading=loading_steps(dataset.get("pipeline") or ())))
    cfg.custom_hooks = hooks
    logger = (cfg.get("default_hooks") or {}).get("logger")
    if logger:
        logger.log_metric_by_epoch = False  # or scores would be at epochs, and losses at iterations
