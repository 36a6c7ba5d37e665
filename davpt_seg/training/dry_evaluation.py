"""One batch of validation or test, from the files to the scores."""

from __future__ import annotations

from numbers import Real
from typing import Any

import torch
from mmengine.dist import get_world_size
from mmengine.runner import Runner, TestLoop, ValLoop, autocast
from torch.utils.data import DataLoader, IterableDataset

from ..engine.guided import bare_model
from ..quiet import without_notes
from .check_evaluator import check_best
from .refusals import advise_check, step
from .step_time import Stopwatch


def first_batch(loader: DataLoader) -> Any:
    """Read the first batch in this process, without data workers."""
    if isinstance(loader.dataset, IterableDataset) or loader.batch_sampler is None:
        return next(iter(loader))
    indices = next(iter(loader.batch_sampler))
    return loader.collate_fn([loader.dataset[index] for index in indices])


def evaluate_batch(runner: Runner, split: str, name: str) -> float:
    """Read, predict and score one batch of a split, and return its time; 0 without it or with a custom loop.

    A metric that writes files writes those of this batch.

    Args:
        runner: the runner whose loop was built.
        split: ``val`` or ``test``.
        name: the config's name, for messages.

    Raises:
        InputError: a part that fails, or a ``save_best`` that names no score of the metric.
    """
    loop = getattr(runner, f"_{split}_loop")
    if not isinstance(loop, (ValLoop, TestLoop)):
        return 0.0
    watch = Stopwatch()
    with step(f"no {split} batch can be read ({split}_dataloader)"), advise_check(name):
        batch = first_batch(loop.dataloader)
    bare_model(runner).eval()
    predicting = f"the prediction of one {split} batch fails (model, {split}_dataloader)"
    memory = f"lower {split}_dataloader.batch_size, or predict by windows (model.test_cfg.mode='slide')"
    with step(predicting, memory), torch.no_grad(), autocast(enabled=loop.fp16):
        outputs = getattr(runner.model, f"{split}_step")(batch)
    seconds = watch.seconds()
    scoring = f"the scores of one {split} batch cannot be computed ({split}_evaluator, {split}_dataloader)"
    with step(scoring), without_notes():
        loop.evaluator.process(data_samples=outputs, data_batch=batch)
        scores = loop.evaluator.evaluate(len(outputs) * get_world_size())
    listed = ", ".join(f"{key} {value:.4g}" if isinstance(value, Real) else key for key, value in scores.items())
    runner.logger.info(f"Scores of one {split} batch before training: {listed or 'none'}")
    if split == "val" and (scores or not _found_nothing(outputs)):
        for hook in runner.hooks:
            check_best(getattr(hook, "save_best", None), scores)  # of CheckpointHook, which reads it after a validation
    return seconds


def _found_nothing(outputs: Any) -> bool:
    """Return whether a detector found no object, as before its training: mmdet's metric of LVIS has no scores then."""
    found = [sample.pred_instances for sample in outputs if "pred_instances" in sample]
    return bool(found) and not any(map(len, found))
