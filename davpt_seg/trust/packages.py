"""The packages whose modules a stranger's config may import, and where they are."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Optional

SCOPES = ("davpt_seg", "mmengine", "mmseg", "mmpretrain", "mmdet")
PACKAGES = (*SCOPES, "mmcv")
# Registered, but they read pickles, run code of a model hub, instantiate what a file names, or initialise a model while
# they build it.
UNSAFE_MODULES = (
    *("mmpretrain.models.multimodal", "mmpretrain.models.utils.huggingface", "mmpretrain.models.utils.tokenizer"),
    *("mmpretrain.models.utils.vector_quantizer", "mmpretrain.models.classifiers.hugging_face", "transformers"),
    *("mmpretrain.models.retrievers", "mmpretrain.models.peft", "mmpretrain.utils.dependency"),
    *("mmdet.models.language_models", "mmdet.models.detectors.glip", "mmdet.models.detectors.grounding_dino"),
    *("mmdet.models.detectors.kd_one_stage", "mmdet.models.detectors.lad", "mmdet.models.detectors.d2_wrapper"),
    *("mmdet.models.dense_heads.atss_vlfusion_head", "mmdet.models.dense_heads.grounding_dino_head"),
    *("mmdet.models.task_modules.tracking", "mmdet.models.mot", "mmdet.models.trackers", "mmdet.models.reid"),
    *("mmdet.datasets.transforms.text_transformers", "mmdet.datasets.transforms.instaboost"),
    *("mmseg.models.backbones.vpd", "mmseg.utils.tokenizer", "mmengine._strategy"),
)


def folder_of(package: str) -> Optional[Path]:
    """Return the folder of a package; None where it is not installed, or is only a folder of the working folder."""
    file: Optional[str]
    if package in sys.modules:  # imported by us, or by the user
        file = sys.modules[package].__file__
    else:
        spec = importlib.util.find_spec(package)
        file = spec.origin if spec else None
        if file and Path.cwd().resolve() in list(Path(file).resolve().parents)[:2]:  # mmdet.py, mmdet/__init__.py
            return None
    return Path(file).parent if file else None


def may_be_in_working_folder(package: str) -> bool:
    """Return whether importing a package by its name would run a file of the working folder."""
    return folder_of(package) is None and importlib.util.find_spec(package) is not None


def is_module(name: object) -> bool:
    """Return whether a dotted name is a module that one of :data:`PACKAGES` has. Imports nothing."""
    if not isinstance(name, str) or f"{name}.".startswith(tuple(f"{unsafe}." for unsafe in UNSAFE_MODULES)):
        return False
    package, *path = name.split(".")
    if package not in PACKAGES or not all(part.isidentifier() and not part.startswith("__") for part in path):
        return False
    folder = folder_of(package)
    if folder is None:
        return False
    module = folder.joinpath(*path)
    return (module / "__init__.py").is_file() or (bool(path) and module.with_name(f"{path[-1]}.py").is_file())
