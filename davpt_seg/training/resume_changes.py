"""What differs between a checkpoint's experiment and the one that would resume from it."""

from __future__ import annotations

import logging
import os.path as osp
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Optional

from mmengine.hooks import EMAHook
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from torch import Tensor

from ..core.guidance.old_guidance import current_guidance
from ..engine.guided import bare_model
from ..engine.old_lora_state import use_current_order
from ..errors import InputError, some
from ..trust.checkpoints import require_averaged, require_finite_optimizer
from ..trust.config_text import evaluate
from .trained_checkpoint import config_text, mismatch, read_checkpoint

logger = logging.getLogger("davpt_seg")

COMPARED = (
    *("model", "train_dataloader", "optim_wrapper", "param_scheduler", "train_cfg", "randomness", "auto_scale_lr"),
    *("custom_hooks", "default_hooks"),
)
# Places, speed and logs, wherever they are in a config: another value gives the same training.
NO_DIFFERENCE = {
    *("num_workers", "persistent_workers", "prefetch_factor", "pin_memory", "backend_args", "with_cp"),
    *("data_root", "cache_dir", "out_dir"),
    *("weights", "pretrained", "checkpoint", "val_interval", "val_begin", "dynamic_intervals"),
}
# Where these are relative, a moved data set does not change them: another value is other images or labels.
PLACES = {"data_prefix", "ann_file", "img_path", "seg_map_path"}
HOOKS_OF_LOGS = {"timer", "logger", "checkpoint", "visualization", "trained_table", "finite_loss", "runtime_info"}
KEPT = ("param_scheduler", "randomness.seed")  # MMEngine restores these from the checkpoint
TUNED = "model.backbone.tuned"
OTHER_SET = "The checkpoint's optimizer trained another set of parameters, or grouped them in another way."
SHOWN, LONGEST = 12, 60


class Change(NamedTuple):
    """A key of a config with its old and its new value; ``...`` where there is none."""

    key: str
    old: Any
    new: Any

    def __str__(self) -> str:
        return f"{self.key}: {_short(self.old)} -> {_short(self.new)}"


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    """List what differs between two configs and makes another training.

    Absolute paths, numbers of data workers, intervals of logs and checkpoints, and all of validation and test are
    skipped.
    """
    before, after = (dict(_leaves({key: cfg.get(key) for key in COMPARED})) for cfg in (old, new))
    keys = [*after, *(key for key in before if key not in after)]
    return [
        Change(key, before.get(key, ...), after.get(key, ...))
        for key in sorted(keys, key=lambda key: COMPARED.index(key.partition(".")[0]))
        if before.get(key, ...) != after.get(key, ...) and not _moved(key, before.get(key), after.get(key))
    ]


def _moved(key: str, old: Any, new: Any) -> bool:
    """Return whether two values are paths of data of which one is absolute, so that they may be the same."""
    if not PLACES & set(key.split(".")):
        return False
    return any(isinstance(path, str) and (osp.isabs(path) or "://" in path) for path in (old, new))


def check_resume(runner: Runner, path: str) -> None:
    """Refuse to resume from a checkpoint of another model or optimizer; warn once of all else that differs.

    The config that the run keeps, in its work dir and its checkpoints, gets the checkpoint's seed, which MMEngine
    restores.

    Args:
        runner: before its training.
        path: the checkpoint's path.

    Raises:
        InputError: a seed that is none; NaN in the optimizer's state or in averaged weights; parameters differ in name
            or shape, or the optimizer differs in type or in what it trains. Then the message lists what differs from
            the config in the checkpoint.
    """
    checkpoint = dict(read_checkpoint(path))
    seed = (checkpoint.get("meta") or {}).get("seed")
    if seed is not None and not (type(seed) is int and 0 <= seed < 2**32):
        raise InputError(f"checkpoint {path!r}: meta.seed must be an integer from 0 to 2**32 - 1, got {_short(seed)}")
    require_finite_optimizer(checkpoint, path)
    if any(isinstance(hook, EMAHook) for hook in runner.hooks):
        require_averaged(checkpoint, path)
    old = _config(checkpoint, path)
    changed = [] if old is None else changes(old, runner.cfg.to_dict())
    reason = _other_model(runner, checkpoint, path) or _other_optimizer(runner, checkpoint, changed)
    if reason:
        listed = some(changed, separator="; ") or "its config names no difference"
        raise InputError(
            f"{reason} What differs from the checkpoint's config: {listed}. Resume with the experiment that wrote it, "
            "start another one in a new --work-dir, or take its weights alone with load_from=FILE"
        )
    used = [change for change in changed if not change.key.startswith(KEPT)]
    kept = [change for change in changed if change.key.startswith(KEPT) and change.new is not ...]
    parts = [f"used from now on: {some(used, SHOWN, '; ')}"] if used else []
    parts += [f"NOT used, because the checkpoint's are restored: {some(kept, SHOWN, '; ')}"] if kept else []
    if parts:
        logger.warning("this experiment differs from the one that wrote %s; %s", path, "; ".join(parts))
    _keep_seed(runner, seed)


def _keep_seed(runner: Runner, seed: Optional[int]) -> None:
    randomness = runner.cfg.get("randomness") or {}
    if seed is not None and randomness.get("seed") != seed:
        runner.cfg.randomness = dict(randomness, seed=seed)
        runner.dump_config()
        runner.visualizer.add_config(runner.cfg)


def _config(checkpoint: Mapping[str, Any], path: str) -> Optional[dict[str, Any]]:
    try:
        return evaluate(config_text(checkpoint, path))
    except InputError:
        logger.warning(
            "%s holds no config that can be read as data: this experiment is not compared with its own", path
        )
        return None


def _other_model(runner: Runner, checkpoint: Mapping[str, Any], path: str) -> str:
    try:
        bare_model(runner).load_state_dict(checkpoint["state_dict"], strict=True)
    except InputError as error:  # the frozen ViT is another one
        return f"checkpoint {path!r}: {error}."
    except RuntimeError as error:
        return f"{mismatch(error, path, 'this experiment')}."
    return ""


def _other_optimizer(runner: Runner, checkpoint: dict[str, Any], changed: list[Change]) -> str:
    for key, before, after in changed:
        if key in ("optim_wrapper.optimizer.type", "optim_wrapper.constructor") and before is not ...:
            return f"{key} is {before} in the checkpoint and {_short(after)} here: its state cannot be used."
        if key == TUNED and _names(before) != _names(after):
            return OTHER_SET
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    use_current_order(checkpoint, bare_model(runner), runner.optim_wrapper)
    saved = checkpoint.get("optimizer") or {}
    if not isinstance(runner.optim_wrapper, OptimWrapper) or "param_groups" not in saved:
        return ""
    groups = runner.optim_wrapper.optimizer.param_groups
    trained = [parameter for group in groups for parameter in group["params"]]
    if [len(group["params"]) for group in groups] != [len(group["params"]) for group in saved["param_groups"]]:
        return OTHER_SET
    for index, state in saved.get("state", {}).items():
        for value in state.values():
            if isinstance(value, Tensor) and value.ndim and value.shape != trained[index].shape:
                return OTHER_SET
    return ""


def _names(value: Any) -> set[str]:
    return set() if value is ... else set(value)


def _leaves(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of a config by dotted key, without those that make no difference."""
    key = path.rpartition(".")[2]
    if key in NO_DIFFERENCE or (path.startswith("default_hooks.") and path.split(".")[1] in HOOKS_OF_LOGS):
        return
    if isinstance(node, Mapping) and node:
        node = current_guidance(node) if key == "guidance" else node
        for name, child in node.items():
            yield from _leaves(child, f"{path}.{name}".lstrip("."))
    elif isinstance(node, (list, tuple)):
        if any(isinstance(child, Mapping) for child in node):
            for i, child in enumerate(node):
                yield from _leaves(child, f"{path}.{i}")
        else:
            yield path, list(node)
    elif node is not None:
        yield path, node


def _short(value: Any) -> str:
    text = "(none)" if value is ... else repr(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
