"""Measures how much a trained model's loss depends on each prompt, on images that are not tested on."""

from __future__ import annotations

import copy
import json
import math
import os.path as osp
from collections.abc import Sequence
from typing import Any, Optional

from mmengine.config import Config, ConfigDict
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, init_default_scope
from mmengine.runner import Runner
from torch import Tensor
from torch.utils.data import DataLoader

from ..audit.preflight import recognition_kind
from ..core.prompts.importance import Importance, prompt_importance
from ..datasets.pipelines import all_steps, annotations_first, resizes_annotations, step_name
from ..engine.atomic_files import AtomicLocalBackend
from ..engine.guided import bare_model
from ..errors import InputError
from ..experiments.shares import SEGMENTS
from ..long_work import shown
from ..terminal.program import program
from ..trust.config_parts import innermost
from .resume import last_checkpoint
from .tasks import DETECTION, task_of


def measure(model: BaseModel, batches: DataLoader, segments: int, path: str, **about: Any) -> tuple[Importance, str]:
    """Measure the importance of a trained model's prompts by its own loss, in eval mode and float32, and write it.

    Args:
        model: segmentor, classifier or detector.
        batches: images with labels, see :func:`images_to_measure`.
        segments: number of segments of a prompt.
        path: JSON file to write; complete or not there.
        **about: further entries of the file's ``about``: ``config``, ``checkpoint``.

    Returns:
        Importance, and a description of what it was measured on.

    Raises:
        InputError: a loss that is not finite.
    """
    losses: list[float] = []

    def loss(batch: Any) -> Tensor:
        found = task_loss(model, batch)
        losses.append(float(found.detach()))
        if not math.isfinite(losses[-1]):
            raise InputError(f"{about['config']}: the loss is {losses[-1]} on batch {len(losses)} of held-out images")
        return found

    prompts = model.eval().get_submodule("backbone").prompts
    importance = prompt_importance(prompts, shown(batches, len(batches), "measuring importance"), loss, segments)
    dataset: Any = batches.dataset
    prefix = getattr(dataset, "data_prefix", None) or {}
    parts = (
        getattr(dataset, "name", type(dataset).__name__),
        getattr(dataset, "split", None),
        prefix.get("img_path", prefix.get("img")),
    )
    data, mean = " ".join(str(part) for part in parts if part), sum(losses) / len(losses)
    about.update(data=data, images=len(dataset), batches=len(losses), loss=mean, num_prompts=list(prompts.counts))
    content = dict(about=about, prompts=importance.prompts.tolist(), segments=importance.segments.tolist())
    AtomicLocalBackend().put_text(json.dumps(content, indent=1) + "\n", path)
    return importance, f"{len(dataset)} images ({data}) in {len(losses)} batches, mean loss {mean:.4f}"


def measure_trained(runner: Runner, name: str) -> None:
    """Measure the model that a runner has trained, on the validation images, into ``importance.json`` of its work dir.

    Args:
        runner: runner whose training is over; of several processes, the first one's.
        name: name of the config.

    Raises:
        InputError: see :func:`images_to_measure` and :func:`measure`.
    """
    batches = images_to_measure(runner.cfg, "val", None, name)
    checkpoint = last_checkpoint(runner.work_dir)
    path = osp.join(runner.work_dir, "importance.json")
    _, on = measure(bare_model(runner), batches, SEGMENTS, path, config=name, checkpoint=checkpoint, split="val")
    runner.logger.info(f"Importance of the prompts: {path}, measured on {on}.")


def task_loss(model: BaseModel, batch: Any) -> Tensor:
    """Return a model's own loss on a batch, of all heads, with gradients; images are not augmented."""
    total, _ = model.parse_losses(model(**model.data_preprocessor(batch, False), mode="loss"))
    return total


def images_to_measure(cfg: Config, split: str, images: Optional[int], name: str) -> DataLoader:
    """Build the loader of the images that importance is measured on, in order, and never augmented.

    Args:
        cfg: experiment.
        split: ``val``, the config's validation images, or ``train``, its training images prepared as validation images.
        images: number of images, drawn by a fixed seed; None for all.
        name: name of the config for messages.

    Raises:
        InputError: no such images, validation images that the config tests on, or a detector's pipeline whose boxes
            would be at other places than the objects.
    """
    init_default_scope(cfg.get("default_scope") or "mmseg")
    held_out = cfg.get("val_dataloader")
    if split == "val":
        if not held_out:
            raise InputError(
                f"{name} has no val_dataloader, so no held-out images to measure importance on; take split=choose "
                f"where words are given, or {program('prune')} --split train (training images, not augmented)"
            )
        _refuse_tested_images(cfg, name)
    loader = copy.deepcopy(held_out or cfg.get("test_dataloader"))  # the latter only for its pipeline
    if not loader:
        raise InputError(f"{name} has neither val_dataloader nor test_dataloader, so no pipeline without augmentation")
    pipeline, detects = innermost(loader.dataset).get("pipeline") or (), task_of(cfg) == DETECTION
    if detects:  # test pipelines of mmdet keep boxes in pixels of the file, and losses need those of the input
        pipeline = annotations_first(pipeline)
        if not resizes_annotations(pipeline) and any("Resize" in step_name(step) for step in all_steps(pipeline)):
            raise InputError(
                f"{name}: importance needs boxes in pixels of the resized image, and this test pipeline does not show "
                "where it loads them (TestTimeAug?); give it LoadImageFromFile, LoadAnnotations and Resize as steps of "
                "its own"
            )
    if split == "train":
        loader.dataset = copy.deepcopy(cfg.train_dataloader.dataset)
    if split == "train" or detects:
        _use_pipeline(loader.dataset, pipeline, name)
    if images is not None:
        loader.dataset = dict(type="RandomSubset", num_images=images, seed=0, dataset=loader.dataset)
    loader.update(sampler=dict(type="DefaultSampler", shuffle=False), drop_last=False)
    if not loader.get("num_workers"):
        loader.pop("persistent_workers", None)  # torch refuses it without workers
    try:
        built = Runner.build_dataloader(loader, seed=0)
    except ValueError as error:
        if images is None:
            raise
        raise InputError(f"{name}, --images: {error}") from error
    if not len(built.dataset):
        raise InputError(f"{name}: there is no image to measure importance on in {loader.dataset}")
    return built


def _refuse_tested_images(cfg: Config, name: str) -> None:
    """Refuse a config whose validation and test share images, except where both are of the training images."""
    test = (cfg.get("test_dataloader") or {}).get("dataset")
    if not test or _is_of_training_images(cfg.val_dataloader.dataset):  # as with split=choose
        return
    val_images, test_images = (
        {built.get_data_info(i)["img_path"] for i in range(len(built))}
        for built in map(DATASETS.build, (cfg.val_dataloader.dataset, test))
    )
    if shared := val_images & test_images:
        raise InputError(
            f"{name} validates on {len(shared)} images that it tests on, for instance {min(shared)}: what is chosen "
            "there is chosen on test images. Give words with split=choose, or a config whose val_dataloader has other "
            f"images, or measure on the training images: {program('prune')} --split train"
        )


def _is_of_training_images(dataset: ConfigDict) -> bool:
    """Whether our own data sets say so: ``split='val'`` of mmpretrain's may be what is reported everywhere."""
    while isinstance(dataset.get("dataset"), dict):
        if dataset.type == "TrainingPart":
            return True
        dataset = dataset.dataset
    return bool(recognition_kind(dataset)) and dataset.get("split") != "test"


def _use_pipeline(dataset: ConfigDict, pipeline: Sequence[Any], name: str) -> None:
    """Replace the pipeline of a data set, or of those that it wraps."""
    one = dataset.get("dataset")
    inner = dataset.get("datasets") or ([one] if isinstance(one, dict) else [])  # recognition's is a task's name
    if inner and "pipeline" in dataset:
        raise InputError(
            f"{name}: importance is measured on images as the test pipeline prepares them, and the pipeline of "
            f"{dataset.type} changes them further; give the pipeline of a data set without a wrapper"
        )
    if not inner:
        dataset.pipeline = pipeline
    for part in inner:
        _use_pipeline(part, pipeline, name)
