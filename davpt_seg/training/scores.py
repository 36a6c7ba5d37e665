"""Results of a test: scores as JSON, and a classifier's confusion matrix as a figure."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from numbers import Real
from typing import Any, Optional

from mmengine.dist import get_world_size, is_main_process
from mmengine.runner import Runner

from ..engine.atomic_files import AtomicLocalBackend
from ..engine.guided import bare_model
from .model import count_parameters

MATRIX = "confusion_matrix/result"  # the name that mmpretrain's metric gives it


def draw_matrix(runner: Runner, metrics: dict[str, Any], path: str) -> None:
    """Take the confusion matrix out of the metrics and draw it."""
    from ..visualization.confusion import confusion_picture

    matrix = metrics.pop(MATRIX).numpy()
    confusion_picture(matrix, runner.test_dataloader.dataset.metainfo["classes"], "images").savefig(path)
    runner.logger.info(f"confusion matrix: {path}")


def write_scores(
    runner: Runner,
    metrics: Mapping[str, float],
    path: str,
    config: str,
    checkpoint: Optional[str] = None,
    trained: Optional[Mapping[str, Any]] = None,
) -> None:
    """Write a JSON file of the scores, by name, and under ``about`` what they are of.

    Args:
        runner: the runner that tested.
        metrics: what the test returned; what is no number (a matrix) is omitted.
        path: file to write, in one step.
        config: the config's name as the user gave it.
        checkpoint: the tested file; None for the model as it was trained just now.
        trained: the checkpoint's ``meta``, which has its ``seed``, ``epoch`` and ``iter``, since the runner has
            those of the test.
    """
    batch_size = None  # images of a training step, on all processes
    if trained is None:
        trained = dict(seed=runner.seed, epoch=runner.epoch, iter=runner.iter)
        batch_size = runner.cfg.train_dataloader.batch_size * get_world_size()
    counts = count_parameters(bare_model(runner))
    dataset = runner.test_dataloader.dataset
    about = dict(
        config=config,
        checkpoint=checkpoint,
        seed=trained.get("seed"),
        epoch=trained.get("epoch"),
        iter=trained.get("iter"),
        batch_size=batch_size,
        images=len(dataset),
        split=getattr(dataset, "split", "test"),
        trained_in_backbone=counts.backbone_trained,
        trained=counts.trained,
        parameters=counts.whole,
    )
    scores = {
        name: None if math.isnan(value) else float(value)  # JSON has no NaN: AP of a class without objects
        for name, value in metrics.items()
        if isinstance(value, Real)  # numpy's, too
    }
    if is_main_process():
        AtomicLocalBackend().put_text(json.dumps(dict(**scores, about=about), indent=1) + "\n", path)
    runner.logger.info(f"scores: {path}")
