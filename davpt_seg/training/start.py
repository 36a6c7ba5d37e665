"""What is checked before the first step of a training, and what is added to any config that is trained."""

from __future__ import annotations

import logging
import os
import os.path as osp
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.runner import Runner

from ..core.weights.impostors import impostor
from ..datasets.pipelines import step_name
from ..engine import FiniteLossHook
from ..engine.resumed_rates_hook import ResumedRatesHook
from ..errors import InputError
from ..experiments.normalisation import contradiction
from ..trust.checkpoints import other_weights
from ..trust.trunk_source import is_prompted_vit
from .load_from import check_load_from
from .resume import checkpoint_to_resume
from .resume_changes import check_resume

logger = logging.getLogger("davpt_seg")


def check_work_dir(path: str) -> None:
    """Refuse a work dir that files cannot be written into; nothing is left there.

    Of several processes that a launcher started, the first one looks.

    Raises:
        InputError: it is a file, cannot be made, or is read-only; the message has the reason.
    """
    if os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0")) != "0":
        return
    missing = [folder for folder in (Path(path), *Path(path).parents) if not osp.exists(folder)]
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path) as file:
            file.write(b"x")
    except OSError as error:
        reason = "it is a file" if osp.isfile(path) else os.strerror(error.errno or 0)
        raise InputError(f"work_dir {path!r} cannot be written: {reason}. Give another --work-dir") from error
    finally:
        for folder in missing:
            with suppress(OSError):
                folder.rmdir()


def check_weights(cfg: Config) -> None:
    """Refuse a PromptedViT whose weights file is not there, and a ``load_from`` that is no checkpoint.

    Raises:
        InputError: such a file; the message names the page of published ones, and the option for another.
    """
    start = cfg.get("load_from")
    if start and not cfg.get("resume") and "://" not in start:
        if not Path(start).is_file():
            what = "is a folder; give a checkpoint in it" if Path(start).is_dir() else "does not exist"
            raise InputError(f"load_from: checkpoint {start!r} {what}; a training writes them to its work dir")
        if what := impostor(start) or other_weights(start):
            raise InputError(f"load_from: checkpoint {start!r} {what}")
    backbone = cfg.model.get("backbone") or {}
    weights = backbone.get("weights") if is_prompted_vit(backbone) else None
    path = weights.get("path") if isinstance(weights, Mapping) else weights
    if path and not Path(path).exists():
        raise InputError(
            f"model.backbone.weights: file {path!r} does not exist. docs/weights.md lists sources of published ones; "
            "name it by --cfg-options model.backbone.weights=PATH (for trunk=vitb_mocov3 and trunk=vits14 also by the "
            "environment: DAVPT_MOCOV3=PATH, DAVPT_VITS14=PATH)"
        )


def warn_of_normalisation(cfg: Config) -> None:
    """Warn, once, where pixels are normalised otherwise than timm's weights of the ViT expect."""
    if is_main_process() and (text := contradiction(cfg)):
        logger.warning(text)


def stop_where_diverged(cfg: Config) -> None:
    """Give a config without them the hooks that end a diverged training and keep its last finite checkpoint.

    A config that switches the first one off, by ``default_hooks.finite_loss=None``, trains without it.
    """
    if not cfg.get("default_hooks"):
        cfg.default_hooks = {}
    hooks = cfg.default_hooks
    hooks.setdefault("checkpoint", dict(type="CheckpointHook", interval=1))  # MMEngine's own default
    checkpoint = hooks["checkpoint"]
    if checkpoint and step_name(checkpoint) == "CheckpointHook":
        checkpoint.type = "AtomicCheckpointHook"
        backbone = (cfg.get("model") or {}).get("backbone") or {}
        if is_prompted_vit(backbone) and (backbone.get("weights") or backbone.get("pretrained")):
            checkpoint.setdefault("frozen", False)
    if "finite_loss" in hooks and hooks.finite_loss is None:
        del hooks["finite_loss"]  # MMEngine knows None only for its default hooks
        logger.warning(
            "default_hooks.finite_loss=None: a loss that is NaN or infinite does not end this training; only a "
            "checkpoint of parameters that are not finite is still refused"
        )
        return
    kinds = {hook.get("type") for hook in (*hooks.values(), *(cfg.get("custom_hooks") or ())) if hook}
    if not kinds & {"FiniteLossHook", FiniteLossHook}:
        hooks.finite_loss = dict(type="FiniteLossHook")


def use_resume(cfg: Config, wanted: str) -> None:
    """Make a config resume from a checkpoint, or start where there is none yet.

    Args:
        cfg: changed in place. Where its run has written no checkpoint, its ``load_from`` stays.
        wanted: ``auto`` for the last one of its work dir, or a file.

    Raises:
        InputError: a damaged checkpoint, or checkpoints without optimizer.
    """
    path = checkpoint_to_resume(cfg.work_dir, None if wanted == "auto" else wanted)
    cfg.resume = path is not None
    if path is None:
        return
    cfg.load_from = path
    if (cfg.default_hooks.get("checkpoint") or {}).get("save_optimizer") is False:
        raise InputError("this config's checkpoints hold no optimizer (checkpoint.save_optimizer=False)")


def check_start(runner: Runner) -> None:
    """Check the file that a training starts from.

    Raises:
        InputError: a checkpoint of another experiment, or weights that fill nothing.
    """
    path = runner.cfg.get("load_from")
    if not path:
        return
    if not runner.cfg.get("resume"):
        check_load_from(runner, path)
        return
    if "://" not in path:
        check_resume(runner, path)
    runner.register_hook(ResumedRatesHook())
