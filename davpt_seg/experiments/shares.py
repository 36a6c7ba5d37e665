"""Removal of shares of prompts and segments, by importances in a file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ..core.prompts.importance import Importance, pruned
from ..datasets.pipelines import step_name
from ..errors import InputError
from .hyperparameters import Hyperparameters
from .values import parse
from .words import PRUNING, SHARES, TASKS, words_of

SEGMENTS = 16  # segments of a prompt, as in E2VPT
if TYPE_CHECKING:
    from mmengine.config import Config

HOW = "davpt-seg prune CONFIG CHECKPOINT --out FILE.json"


def use_shares(cfg: Config, values: Hyperparameters) -> None:
    """Remove the least important prompts and segments from a composed experiment.

    Args:
        cfg: complete experiment, changed in place.
        values: values of the words; ``importance`` names the file.

    Raises:
        InputError: shares without a file or a file without shares; see also :func:`read_importance`, :func:`prune`.
    """
    asked = {name: values[name] for name in PRUNING if values[name] is not None}
    path = values["importance"]
    if path is None:
        if asked:
            name, value = next(iter(asked.items()))
            raise InputError(f"{name}={value}: add importance=FILE, the importances that {HOW} measures")
        return
    if not asked.keys() & set(SHARES):
        raise InputError(f"importance={path}: add prompt_share=... or segment_share=..., the shares to remove")
    importance = read_importance(path).ranked(values["rank_by"] or "masks")
    prune(cfg, importance, values["prompt_share"] or 0, values["segment_share"] or 0, f"importance={path}")


def prune(cfg: Config, importance: Importance, prompt_share: float, segment_share: float, where: str) -> None:
    """Set the prompts that stay in a config; blocks without prompts stay without.

    Args:
        cfg: experiment with all prompts, changed in place.
        importance: importance of its prompts, ranked.
        prompt_share, segment_share: see :func:`~davpt_seg.core.prompts.importance.pruned`.
        where: name for messages.

    Raises:
        InputError: prompts that cannot be pruned, importances of another number of prompts, or a share that removes
            everything.
    """
    count = check_prunable(cfg, where)
    if len(importance.prompts) != count:
        raise InputError(
            f"{where}: importances of {len(importance.prompts)} prompts, but this experiment has {count} in each "
            f"block; measure them on a checkpoint of the same experiment without shares: {HOW}"
        )
    prompts, kept = cfg.model.backbone.prompts, pruned(importance, prompt_share, segment_share)
    before, left = prompts.num_prompts, kept["num_prompts"]
    prompts.num_prompts = left if isinstance(before, int) else [left if number else 0 for number in before]
    prompts.segments = kept["segments"]


def check_shares(cfg: Config, words: Mapping[str, Any], where: str) -> None:
    """Check, before importance is measured, that prompts can be pruned and that shares do not remove all.

    Args:
        cfg: experiment with all prompts; it is pruned in place, as if all were equally important.
        words: shares by name, without unused ones.
        where: name for messages.

    Raises:
        InputError: see :func:`prune`.
    """
    values = {name: parse(words_of(TASKS[0])[name], str(words[name])) for name in PRUNING if name in words}
    prompt_share, segment_share = (values.get(name, 0.0) for name in SHARES)
    prune(cfg, alike(check_prunable(cfg, where)), prompt_share, segment_share, where)


def alike(count: int, segments: int = SEGMENTS) -> Importance:
    """Return equal importances, for results that do not depend on which prompts are removed."""
    return Importance(torch.ones(count), torch.ones(count, max(segments, 1)))


def check_prunable(cfg: Config, name: str) -> int:
    """Return the number M of prompts in each block that has any.

    Args:
        cfg: experiment of a segmentor, classifier or detector.
        name: name for messages.

    Raises:
        InputError: the prompts are not deep, not complete, or not the same number in each block; or the model has a
            loss only in training.
    """
    prompts = (cfg.model.get("backbone") or {}).get("prompts")
    if not prompts:
        raise InputError(
            f"{name}: its backbone has no prompts to prune; take method=e2vpt, method=vpt_deep, or "
            "backbone=dict(type='PromptedViT', prompts=dict(num_prompts=...))"
        )
    if prompts.get("kind", "deep") != "deep":
        raise InputError(
            f"{name}: these prompts are {prompts.kind}; pruning is for deep ones, separate in every block (prompts "
            "kind='deep'; method=e2vpt, method=vpt_deep)"
        )
    if prompts.get("segments") is not None:
        raise InputError(
            f"{name}: these prompts are pruned already (prompts.segments); to remove more, prune the original "
            "config and checkpoint by larger shares"
        )
    if prompts.get("init") == "prototypes" or any(
        step_name(hook) == "DataMeanInitHook" for hook in cfg.get("custom_hooks") or ()
    ):
        raise InputError(
            f"{name}: prototypes start complete prompts, so pruned ones could not be trained; omit prompts "
            "init='prototypes' and DataMeanInitHook of custom_hooks, train, and prune that"
        )
    if "dn_cfg" in cfg.model:
        raise InputError(
            f"{name}: importance is measured by the loss of a model that does not train, and {cfg.model.type} with "
            "denoising (dn_cfg) has a loss only while it trains; take another head, such as head=faster_rcnn"
        )
    numbers = prompts.get("num_prompts", 0)
    counts = sorted({*([numbers] if isinstance(numbers, int) else numbers)} - {0})
    if not counts:
        raise InputError(f"{name}: num_prompts is 0 in all blocks, so there is nothing to prune")
    if len(counts) > 1:
        raise InputError(
            f"{name}: pruning removes the same prompts from all blocks, so all need the same number, but they have "
            f"{tuple(numbers)}; train with --cfg-options model.backbone.prompts.num_prompts={max(counts)} (words: "
            f"prompts={max(counts)},guided_prompts={max(counts)}), and prune that"
        )
    return counts[0]


def read_importance(path: str) -> Importance:
    """Read the importances that :func:`davpt_seg.training.measure.measure` wrote.

    Raises:
        InputError: no such file, or one that holds anything else than a finite number for each prompt and segment.
    """
    file = Path(path).expanduser()
    if not file.is_file() or file.suffix != ".json":
        raise InputError(f"importance={path}: there is no such file, FILE.json; {HOW} writes one")
    try:
        content = json.loads(file.read_text(encoding="utf-8"), parse_int=float)  # no integer is too long for a float
    except (ValueError, RecursionError) as error:
        raise InputError(f"importance={path}: not a JSON file ({error}); {HOW} writes one") from error
    found: Any = content if isinstance(content, dict) else {}
    prompts, segments = found.get("prompts"), found.get("segments")
    lists = isinstance(segments, list) and all(map(_numbers, [prompts, *segments]))
    if not lists or len(segments) != len(prompts) or len({len(row) for row in segments}) != 1:
        raise InputError(
            f"importance={path}: expected 'prompts', a list of finite numbers, and 'segments', such a list for each "
            f"prompt, all equally long; {HOW} writes such a file"
        )
    return Importance(*(torch.tensor(numbers, dtype=torch.float64) for numbers in (prompts, segments)))


def _numbers(found: Any) -> bool:
    return isinstance(found, list) and bool(found) and all(type(n) is float and math.isfinite(n) for n in found)
