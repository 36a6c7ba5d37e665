"""The parts of a config that an adapter folder holds, as JSON has them and as OpenMMLab reads them."""

from __future__ import annotations

import copy
from typing import Any

from mmengine.config import Config

from ..datasets.pipelines import without_masks
from ..training.tasks import DETECTION, task_of
from ..trust.adapter_parts import KEYS
from ..trust.config_parts import dicts, parts_that_predict
from ..trust.packages import is_module

#: Of a model and its heads, what training alone reads. Detectors' ``loss_cls`` also decides how scores are computed.
OF_TRAINING = ("auxiliary_head", "backbone", "init_cfg", "loss", "loss_decode", "pretrained", "sampler", "train_cfg")


def adapter_part(cfg: Config) -> dict[str, Any]:
    """Return what prediction builds of a config besides the backbone; cfg stays as it is."""
    kept = parts_that_predict(cfg._cfg_dict.to_dict())
    model = kept["model"]
    if kept.get("data_preprocessor"):  # where MMEngine's Runner looks, too
        model.setdefault("data_preprocessor", kept["data_preprocessor"])
    for node in dicts(model):
        for key in OF_TRAINING:
            node.pop(key, None)
    if "train_cfg" in cfg.model and task_of(cfg) == DETECTION:
        model["train_cfg"] = None  # an argument that detectors with regions need
    kept["custom_imports"] = _foreign(kept.get("custom_imports"))
    kept = {key: value for key, value in kept.items() if key in KEYS and value}
    loader = kept.get("test_dataloader")
    if loader and "pipeline" in loader.get("dataset", {}):
        kept["test_dataloader"] = {"dataset": {"pipeline": without_masks(loader["dataset"]["pipeline"])}}
    if "tta_pipeline" in kept:
        kept["tta_pipeline"] = without_masks(kept["tta_pipeline"])
    return kept


def _foreign(imports: Any) -> dict[str, Any]:
    """Return ``custom_imports`` without our own modules and OpenMMLab's, which are imported in any case."""
    names = imports.get("imports") if isinstance(imports, dict) else imports
    names = [names] if isinstance(names, str) else names or []
    foreign = [name for name in names if not is_module(name)]
    return {"imports": foreign} if foreign else {}


def as_mmengine_reads(config: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of what JSON held, with tuples of numbers in pipelines, where OpenMMLab takes no lists."""
    config = copy.deepcopy(config)
    for key in ("test_dataloader", "tta_pipeline"):
        if key in config:
            config[key] = _tuples(config[key])
    return config


def _tuples(entry: Any) -> Any:
    if isinstance(entry, dict):
        return {key: _tuples(value) for key, value in entry.items()}
    if isinstance(entry, list):
        entries = [_tuples(value) for value in entry]
        return tuple(entries) if entries and all(type(value) in (int, float) for value in entries) else entries
    return entry
