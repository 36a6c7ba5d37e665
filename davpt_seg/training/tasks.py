"""Task of a config: segmentation, classification or detection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import InputError
from ..experiments.words import CLASSIFICATION, DETECTION, SEGMENTATION, TASKS
from ..packages import install
from ..trust.packages import folder_of

SCOPES = {"mmpretrain": CLASSIFICATION, "mmdet": DETECTION}
MODELS = {SEGMENTATION: "segmentor", CLASSIFICATION: "classifier", DETECTION: "detector"}
PREDICTS = {
    SEGMENTATION: "labels every pixel",
    CLASSIFICATION: "classifies images",
    DETECTION: "finds boxes",
}
#: What to use for each task.
ADVICE = {
    SEGMENTATION: "For the class of every pixel: davpt-seg predict, or davpt_seg.apis.Predictor",
    CLASSIFICATION: "For the class of an image: mmpretrain.ImageClassificationInferencer(CONFIG, CHECKPOINT)(IMAGES), "
    "after import davpt_seg (docs/classification.md)",
    DETECTION: "For boxes: davpt-seg predict CHECKPOINT IMAGE, or davpt_seg.apis.Detector",
}
#: The same for models in adapter folders.
FOLDER_ADVICE = {
    **ADVICE,
    CLASSIFICATION: "For the class of an image: mmpretrain.ImageClassificationInferencer(load_adapter(FOLDER, "
    "trunk=FILE))(IMAGES), with davpt_seg.apis.load_adapter",
}


def task_of(cfg: Mapping[str, Any]) -> str:
    """Return the task of a config of mmseg, mmpretrain or mmdet, by its default scope."""
    scope = cfg.get("default_scope")
    return SCOPES.get(scope, SEGMENTATION) if isinstance(scope, str) else SEGMENTATION


def refuse_other(found: str, tasks: Sequence[str], what: str, advice: Mapping[str, str] = ADVICE) -> None:
    """Refuse a model of another task than those that a caller takes.

    Args:
        found: the model's task.
        tasks: those that are taken.
        what: the model's file, for the message.
        advice: what to use for each task.

    Raises:
        InputError: such a model; the message names what predicts with it. Or a detector without mmdet.
    """
    if found not in tasks:
        does = PREDICTS[tasks[0]] if len(tasks) == 1 else f"takes {' and '.join(f'{MODELS[each]}s' for each in tasks)}"
        raise InputError(f"{what} is a {MODELS[found]}'s, and this {does}. {advice[found]}")
    if found == DETECTION and folder_of("mmdet") is None:
        raise InputError(f"{what} is a detector's, for which mmdet is needed: {install('mmdet')}")


__all__ = ["CLASSIFICATION", "DETECTION", "SEGMENTATION", "TASKS", "refuse_other", "task_of"]
