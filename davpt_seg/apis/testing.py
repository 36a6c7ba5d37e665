"""What a test-time option changes in a config; for tools/test.py and tools/predict.py alike."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional

from mmengine.config import Config

from ..errors import InputError
from .scores import ask_for_matrix

PICTURES = (".png", ".pdf", ".svg", ".jpg")


def change_test(cfg: Config, args: argparse.Namespace) -> None:
    """Make a test what the options of tools/test.py ask for.

    Raises:
        InputError: an option that the config rules out, or a file that could not be written.
    """
    if is_recognition(cfg):
        _change_recognition_test(cfg, args)
        return
    if args.mode:
        set_mode(cfg, args.mode)
    mode = (cfg.model.get("test_cfg") or {}).get("mode", "whole")
    if args.tta:
        use_tta(cfg)
    if args.show_dir:
        show_images(cfg, args.show_dir)
    if args.out:
        write_label_maps(cfg, args.out)
    if args.confusion_matrix or args.json:
        about = dict(config=args.config, checkpoint=args.checkpoint, mode=mode, tta=args.tta)
        add_report(cfg, args.confusion_matrix, args.json, about)


def is_recognition(cfg: Config) -> bool:
    """Tell a config of mmpretrain's from one of mmseg's."""
    return cfg.get("default_scope") == "mmpretrain"


def _change_recognition_test(cfg: Config, args: argparse.Namespace) -> None:
    for option in ("mode", "out", "show_dir"):
        if getattr(args, option):
            raise InputError(f"--{option.replace('_', '-')} is for segmentation, and this config classifies images")
    if args.tta:
        use_tta(cfg)
    check_files(args.confusion_matrix, args.json)
    if args.confusion_matrix:
        ask_for_matrix(cfg)


def set_mode(cfg: Config, mode: str) -> None:
    """Predict by windows that slide over the image, or by the whole image at once.

    Raises:
        InputError: ``slide`` for a config that names no window.
    """
    test_cfg = cfg.model.setdefault("test_cfg", {})
    if mode == "slide" and not (test_cfg.get("crop_size") and test_cfg.get("stride")):
        raise InputError(
            "--mode slide needs a window, and the config has none; add "
            "--cfg-options model.test_cfg.crop_size=[512,512] model.test_cfg.stride=[341,341]"
        )
    test_cfg.mode = mode


def use_tta(cfg: Config) -> None:
    """Test with the config's test-time augmentation: average the softmax of several scales and flips.

    Raises:
        InputError: the config names no pipeline for it.
    """
    missing = [key for key in ("tta_pipeline", "tta_model") if key not in cfg]
    if missing:
        raise InputError(f"--tta needs {' and '.join(missing)}, which the config does not have")
    cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
    cfg.tta_model.module = cfg.model
    cfg.model = cfg.tta_model


def show_images(cfg: Config, folder: str) -> None:
    """Paint every image, where mmseg draws one in fifty."""
    hooks = cfg.setdefault("default_hooks", {})
    hooks.setdefault("visualization", dict(type="SegVisualizationHook")).update(draw=True, interval=1)
    painter = dict(type="SegLocalVisualizer", vis_backends=[dict(type="LocalVisBackend")], name="visualizer")
    cfg.setdefault("visualizer", painter).update(save_dir=folder)


def write_label_maps(cfg: Config, folder: str) -> None:
    """Write predicted label maps.

    Raises:
        InputError: the config has no IoUMetric, which writes them.
    """
    metric = next((evaluator for evaluator in _evaluators(cfg) if evaluator["type"] == "IoUMetric"), None)
    if metric is None:
        raise InputError("--out needs an IoUMetric in the config's test_evaluator, which writes the label maps")
    metric.update(output_dir=folder, keep_results=True)


def _evaluators(cfg: Config) -> list[Any]:
    return cfg.test_evaluator if isinstance(cfg.test_evaluator, list) else [cfg.test_evaluator]


def add_report(cfg: Config, confusion_matrix: Optional[str], json: Optional[str], about: Mapping[str, Any]) -> None:
    """Let the test write a picture of the confusion matrix, or all scores as JSON.

    Args:
        cfg: changed in place.
        confusion_matrix: file of the picture.
        json: file of the scores.
        about: what else to write into the JSON.

    Raises:
        InputError: a file that could not be written; said before the test and not after it.
    """
    check_files(confusion_matrix, json)
    evaluators = _evaluators(cfg)
    ignore_index = next((e.ignore_index for e in evaluators if "ignore_index" in e), 255)
    report = dict(
        type="SegmentationReport", picture=confusion_matrix, json=json, about=about, ignore_index=ignore_index
    )
    cfg.test_evaluator = [*evaluators, report]


def check_files(confusion_matrix: Optional[str], json: Optional[str]) -> None:
    """Refuse files that could not be written, and make the folders of those that can.

    Raises:
        InputError: a folder, or a picture of an unknown kind.
    """
    if confusion_matrix and Path(confusion_matrix).suffix not in PICTURES:
        raise InputError(f"--confusion-matrix {confusion_matrix!r} must end in one of {', '.join(PICTURES)}")
    for file in filter(None, (confusion_matrix, json)):
        if Path(file).is_dir():
            raise InputError(f"{file!r} is a folder; name the file to write")
        Path(file).parent.mkdir(parents=True, exist_ok=True)
