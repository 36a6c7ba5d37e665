"""Checkpoints and adapter folders, opened for prediction, and their test pipelines."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Optional, Union

import torch
from mmengine.config import Config

from ..core.adapter_folder.backbone import TrunkSource
from ..core.adapter_folder.places import is_folder
from ..datasets.pipelines import step_name, without_masks
from ..errors import InputError
from ..training.tasks import FOLDER_ADVICE, SEGMENTATION, refuse_other
from ..training.trained_model import TrainedModel
from ..trust.config_parts import innermost
from .adapters import OpenedAdapter
from .paths import path_of


def opened(
    checkpoint: Union[str, os.PathLike[str]],
    config: Optional[Union[str, os.PathLike[str], Config]],
    trunk: TrunkSource,
    trust_config: bool,
    tasks: Sequence[str] = (SEGMENTATION,),
) -> Union[OpenedAdapter, TrainedModel]:
    """Open a checkpoint or an adapter folder, of which nothing is built yet.

    Args:
        checkpoint: see :class:`~davpt_seg.apis.Predictor`.
        config: see there; a folder takes none, because it holds its own.
        trunk: see there.
        trust_config: see there.
        tasks: tasks whose models are taken; others are refused.

    Raises:
        InputError: see :class:`~davpt_seg.training.trained_model.TrainedModel` and :class:`OpenedAdapter`.
    """
    checkpoint = path_of(checkpoint, "checkpoint (a .pth file or an adapter folder)")
    if config is not None and not isinstance(config, Config):
        config = path_of(config, "config")
    if not is_folder(checkpoint):
        return TrainedModel(checkpoint, config, trust_config, tasks, trunk)
    if config is not None:
        raise InputError(f"adapter folder {os.fspath(checkpoint)!r} holds its config: omit CONFIG; options change it")
    folder = OpenedAdapter(checkpoint, trunk, trust_config)
    refuse_other(folder.config.task, tasks, f"adapter folder {folder.path!r}", FOLDER_ADVICE)
    return folder


def check_device(device: Optional[str]) -> None:
    """Refuse a device before anything is loaded for it."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, TypeError) as error:  # AssertionError: torch was built without CUDA
        reason = str(error).splitlines()[0]
        raise InputError(
            f"device {device!r} cannot be used here: {reason}. Without a device, what is there is used"
        ) from error


def test_steps(cfg: Config) -> list[dict[str, Any]]:
    """Return the test pipeline of a config: its test data set's, or its validation data set's.

    Raises:
        InputError: there is neither.
    """
    loader = cfg.get("test_dataloader") or cfg.get("val_dataloader")
    steps = innermost(loader.get("dataset") if isinstance(loader, dict) else None).get("pipeline")
    if not steps or not isinstance(steps, list) or not all(isinstance(each, dict) and "type" in each for each in steps):
        raise InputError(
            "the config has no test pipeline: test_dataloader.dataset.pipeline must be a list of transforms with types"
        )
    return steps


def image_steps(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Fit a test pipeline to images that are in memory already and have no label map.

    Raises:
        InputError: a pipeline that does not start from an image file.
    """
    if step_name(steps[0]) != "LoadImageFromFile":
        raise InputError(f"the test pipeline starts with {steps[0]['type']!r}, but must with 'LoadImageFromFile'")
    kept = [each for each in steps[1:] if step_name(each) != "ToEightBit"]  # what read has done
    return [dict(steps[0], type="LoadImageFromNDArray"), *without_masks(kept)]
