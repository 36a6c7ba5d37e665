"""What the options of a test or prediction change in a config."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional

from mmengine.config import Config

from ..audit.preflight import open_dataset, unwrapped
from ..datasets.pipelines import loading_steps, step_name
from ..errors import InputError
from ..trust.config_parts import dicts
from ..visualization.output_names import output_names
from .tasks import CLASSIFICATION, task_of
from .void import MOST_IN_METRIC, most_classes

FIGURES = (".png", ".pdf", ".svg", ".jpg")


def is_recognition(cfg: Config) -> bool:
    """Return whether a config is one of mmpretrain, for image classification."""
    return task_of(cfg) == CLASSIFICATION


def set_mode(cfg: Config, mode: str) -> None:
    """Predict by windows that slide over the image, or by the complete image at once.

    Raises:
        InputError: another mode, or ``slide`` for a config that names no window.
    """
    if mode not in ("slide", "whole"):
        raise InputError(f"mode must be 'slide' or 'whole', got {mode!r}")
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
    dataset = cfg.test_dataloader.dataset
    for part in [part for part in dicts(dataset) if "pipeline" in part] or [dataset]:  # also in wrappers
        part["pipeline"] = cfg.tta_pipeline
    cfg.tta_model.module = cfg.model
    cfg.model = cfg.tta_model


def show_images(cfg: Config, option: str, folder: str) -> None:
    """Paint every image into the folder of an option."""
    _check_folder(cfg, option, folder)
    loading = loading_steps(unwrapped(cfg.test_dataloader.dataset).get("pipeline") or ())
    _add_hook(cfg, dict(type="PaintedImageHook", folder=folder, loading=loading))


def write_label_maps(cfg: Config, option: str, folder: str) -> None:
    """Write predicted label maps into the folder of an option."""
    _check_folder(cfg, option, folder)
    _add_hook(cfg, dict(type="LabelMapHook", folder=folder))


def _add_hook(cfg: Config, hook: dict[str, Any]) -> None:
    cfg.custom_hooks = [*(cfg.get("custom_hooks") or ()), hook]


def _check_folder(cfg: Config, option: str, folder: str) -> None:
    """Refuse a folder for a test's outputs that is none, or where they would replace the test's images or masks.

    Raises:
        InputError: a file, or a folder in which a name is an image's or mask's own; a data set that is not there.
    """
    if Path(folder).exists() and not Path(folder).is_dir():
        raise InputError(f"{option} {folder!r} is a file; name a folder")
    dataset = open_dataset(cfg.test_dataloader.dataset)
    items = dataset.load_data_list() if dataset is not None else []
    inputs = {Path(item[key]).resolve() for item in items for key in ("img_path", "seg_map_path") if key in item}
    for name in output_names(item["img_path"] for item in items).values():
        file = Path(folder, f"{name}.png").resolve()
        if file in inputs:
            raise InputError(f"{option} {folder!r} would replace {str(file)!r}, which the test reads; name another")


def add_evaluator(cfg: Config, evaluator: dict[str, Any]) -> None:
    """Let a test compute more."""
    cfg.test_evaluator = [*_evaluators(cfg), evaluator]


def _evaluators(cfg: Config) -> list[Any]:
    return cfg.test_evaluator if isinstance(cfg.test_evaluator, list) else [cfg.test_evaluator]


def score_each_class(cfg: Config) -> None:
    """Let COCO's metric report the average precision of each class, too."""
    for evaluator in _evaluators(cfg):
        if step_name(evaluator) == "CocoMetric":
            evaluator["classwise"] = True


def add_report(cfg: Config, confusion_matrix: Optional[str], json: Optional[str], about: Mapping[str, Any]) -> None:
    """Let the test draw the confusion matrix, or write all scores as JSON.

    Args:
        cfg: changed in place.
        confusion_matrix: file of the figure.
        json: file of the scores.
        about: what else to write into the JSON.

    Raises:
        InputError: a file that could not be written; raised before the test and not after it.
    """
    check_files(confusion_matrix, json)
    classes = most_classes(cfg)
    if classes > MOST_IN_METRIC:
        raise InputError(
            f"--json and --confusion-matrix write a matrix of {classes} x {classes} classes; the most is "
            f"{MOST_IN_METRIC}"
        )
    ignore_index = next((e.ignore_index for e in _evaluators(cfg) if "ignore_index" in e), 255)
    report = dict(
        type="SegmentationReport", picture=confusion_matrix, json=json, about=about, ignore_index=ignore_index
    )
    add_evaluator(cfg, report)


def check_files(confusion_matrix: Optional[str], json: Optional[str]) -> None:
    """Refuse files that could not be written, and make the folders of those that can.

    Raises:
        InputError: a folder, a figure of an unknown kind, or scores in place of a file of another kind.
    """
    if confusion_matrix and Path(confusion_matrix).suffix not in FIGURES:
        raise InputError(f"--confusion-matrix {confusion_matrix!r} must end in one of {', '.join(FIGURES)}")
    for file in filter(None, (confusion_matrix, json)):
        if file == json and Path(file).is_file() and Path(file).suffix != ".json":
            raise InputError(f"{file!r} is there already, and not named as a JSON file; name a new one, or FILE.json")
        if Path(file).is_dir():
            raise InputError(f"{file!r} is a folder; name the file to write")
        Path(file).parent.mkdir(parents=True, exist_ok=True)
