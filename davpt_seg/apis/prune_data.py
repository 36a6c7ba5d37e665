"""The held-out images that importance is measured on: never the test images, and never augmented."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Optional

from mmengine.config import Config, ConfigDict
from mmengine.registry import DATASETS, init_default_scope

from ..audit.preflight import recognition_kind, unwrapped
from ..errors import InputError

SPLITS = ("val", "train")


def loader_to_measure(cfg: Config, split: str, images: Optional[int], name: str) -> ConfigDict:
    """Configure the loader of the images that importance is measured on, in order.

    Args:
        cfg: the experiment.
        split: ``val``, the config's validation images, or ``train``, its training images, but prepared as validation
            and test images are, without augmentation.
        images: how many of them, drawn by a fixed seed; None takes all.
        name: what the user calls the config.

    Raises:
        InputError: no such images, or validation images that the config tests on.
    """
    held_out = cfg.get("val_dataloader")
    if split == "val":
        if not held_out:
            raise InputError(
                f"{name} has no val_dataloader, so no held-out images to measure importance on; take split=choose "
                "where words are given, or --split train (training images, not augmented)"
            )
        refuse_tested_images(cfg, name)
    loader = copy.deepcopy(held_out or cfg.get("test_dataloader"))  # of the latter, only how it prepares images
    if not loader:
        raise InputError(f"{name} has neither val_dataloader nor test_dataloader, so no pipeline without augmentation")
    if split == "train":
        pipeline = unwrapped(loader.dataset).get("pipeline")
        loader.dataset = copy.deepcopy(cfg.train_dataloader.dataset)
        _use_pipeline(loader.dataset, pipeline, name)
    if images is not None:
        loader.dataset = dict(type="RandomSubset", num_images=images, seed=0, dataset=loader.dataset)
    loader.update(sampler=dict(type="DefaultSampler", shuffle=False), drop_last=False)
    if not loader.get("num_workers"):
        loader.pop("persistent_workers", None)  # which torch refuses then
    return loader


def count_images(cfg: Config, loader: ConfigDict, name: str) -> int:
    """Count the images of a loader.

    Raises:
        InputError: there are none, or fewer than ``images`` were to be drawn of.
    """
    init_default_scope(cfg.get("default_scope") or "mmseg")
    try:
        count = len(DATASETS.build(loader.dataset))
    except ValueError as error:  # RandomSubset's
        raise InputError(f"{name}, --images: {error}") from error
    if not count:
        raise InputError(f"{name}: there is no image to measure importance on in {loader.dataset}")
    return count


def refuse_tested_images(cfg: Config, name: str) -> None:
    """Refuse a config that validates on the images that it tests on, unless no image of the test split is among them.

    Raises:
        InputError: the message says what else may be measured on.
    """
    val, test = cfg.val_dataloader.dataset, (cfg.get("test_dataloader") or {}).get("dataset")
    if _is_of_training_images(val):
        return  # as split=choose has it, whose test is one on validation images
    shared = _image_paths(cfg, val) & _image_paths(cfg, test) if test else set()
    if shared:
        raise InputError(
            f"{name} validates on {len(shared)} images that it tests on, for instance {min(shared)}: what is chosen "
            "there is chosen on test images. Give words, which take split=choose, or a config whose val_dataloader has "
            "images of its own, or measure on the training images: --split train"
        )


def _is_of_training_images(dataset: ConfigDict) -> bool:
    """Whether our own data sets say so: of mmpretrain's, ``split='val'`` may be what everybody reports."""
    while isinstance(dataset.get("dataset"), dict):
        if dataset.type == "TrainingPart":
            return True
        dataset = dataset.dataset
    return bool(recognition_kind(dataset)) and dataset.get("split") != "test"


def _image_paths(cfg: Config, dataset: ConfigDict) -> set[str]:
    init_default_scope(cfg.get("default_scope") or "mmseg")
    built = DATASETS.build(dataset)
    return {built.get_data_info(i)["img_path"] for i in range(len(built))}


def _use_pipeline(dataset: ConfigDict, pipeline: Sequence[Any], name: str) -> None:
    """Replace the pipeline of a data set, or of those that it wraps."""
    one = dataset.get("dataset")
    inner = dataset.get("datasets") or ([one] if isinstance(one, dict) else [])  # recognition's is a task's name
    if inner and "pipeline" in dataset:
        raise InputError(f"{name}: --split train cannot leave out what {dataset.type} does to the training images")
    if not inner:
        dataset.pipeline = pipeline
    for part in inner:
        _use_pipeline(part, pipeline, name)
