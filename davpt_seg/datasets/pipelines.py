"""Class names of a config's parts, and search for the steps of a pipeline that read images and masks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Optional

MASK_LOADERS = ("LoadLabelMap", "LoadAnnotations")


def step_name(step: Any) -> str:
    """Return the name of a step's class, without scope or module; likewise of a metric, a hook, a sampler.

    ``mmdet.CocoMetric`` and ``CocoMetric`` are the same class, and so may be a class itself.
    """
    kind = step.get("type", "") if isinstance(step, dict) else type(step)
    return (kind if isinstance(kind, str) else getattr(kind, "__name__", "")).rpartition(".")[2]


def all_steps(pipeline: Sequence[Any]) -> Iterator[Any]:
    """Iterate over the steps of a pipeline, and over those inside a ``TestTimeAug`` or a ``RandomChoice``."""
    for step in pipeline:
        if isinstance(step, (list, tuple)):
            yield from all_steps(step)
        else:
            yield step
            yield from all_steps(step.get("transforms") or () if isinstance(step, dict) else ())


def find_step(pipeline: Sequence[Any], *names: str) -> Optional[Any]:
    """Return the first step with one of these names; None if there is none."""
    return next((step for step in all_steps(pipeline) if step_name(step) in names), None)


def loads_masks_otherwise(pipeline: Sequence[Any]) -> bool:
    """Return whether a pipeline loads masks by a custom step, or none, so that their files do not show the labels."""
    return bool(pipeline) and find_step(pipeline, *MASK_LOADERS) is None


def loading_steps(pipeline: Sequence[Any]) -> list[Any]:
    """Return the steps that convert an image file into 8-bit pixels; none for a custom loader."""
    if not pipeline or step_name(pipeline[0]) != "LoadImageFromFile":
        return []
    return [step for step in pipeline[:2] if step_name(step) in ("LoadImageFromFile", "ToEightBit")]


def annotations_first(pipeline: Sequence[Any]) -> list[Any]:
    """Load annotations right after the image, so that later steps resize and flip both."""
    loaders = [step for step in pipeline if step_name(step) == "LoadAnnotations"]
    others = [step for step in pipeline if step_name(step) != "LoadAnnotations"]
    place = next((i + 1 for i, step in enumerate(others) if step_name(step).startswith("LoadImage")), 0)
    return [*others[:place], *loaders, *others[place:]]


def resizes_annotations(pipeline: Sequence[Any]) -> bool:
    """Return whether a pipeline loads annotations before it resizes the image, and so resizes both."""
    names = [step_name(step) for step in all_steps(pipeline)]
    return "LoadAnnotations" in names and any("Resize" in name for name in names[names.index("LoadAnnotations") :])


def without_masks(steps: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Omit the steps that load label maps, also those inside of a ``TestTimeAug``."""
    kept = [dict(each) for each in steps if step_name(each) not in MASK_LOADERS]
    for each in kept:
        if step_name(each) == "TestTimeAug":
            branches = [without_masks(branch) for branch in each["transforms"]]
            each["transforms"] = [branch for branch in branches if branch]
    return kept
