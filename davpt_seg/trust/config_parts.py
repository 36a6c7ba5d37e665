"""The parts of a config that prediction builds. What only trained a model need not be registered where it predicts."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from timm.models import is_model_pretrained

# Read by Predictor, or by the inferencers of OpenMMLab. Of data loaders, see parts_that_predict.
READ = (
    *("_base_", "custom_imports", "default_scope", "data_check", "data_preprocessor", "model", "sys_path"),
    *("test_pipeline", "tta_model", "tta_pipeline", "visualizer"),
)
HUB = ("hf-hub:timm/", "hf_hub:timm/")


def parts_that_predict(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of a config without the parts that prediction does not build.

    These go: data loaders but the test pipeline (the validation's where there is no test), loops, optimizer, schedules,
    evaluators, hooks, strategy, backends of logs, and all dicts that no class of OpenMMLab reads. Values that hold no
    dict stay: nothing is built of them.
    """
    kept = {key: value for key, value in config.items() if key in READ or not holds_dict(value)}
    if kept.get("default_scope", "") is None:
        del kept["default_scope"]
    if isinstance(kept.get("visualizer"), Mapping):
        kept["visualizer"] = {key: value for key, value in kept["visualizer"].items() if key != "vis_backends"}
    loader = next((config[key] for key in ("test_dataloader", "val_dataloader") if config.get(key)), None)
    if isinstance(loader, Mapping):
        dataset = innermost(loader.get("dataset"))
        kept["test_dataloader"] = {key: loader[key] for key in ("collate_fn",) if key in loader}
        kept["test_dataloader"]["dataset"] = {key: dataset[key] for key in ("pipeline",) if key in dataset}
    kept = copy.deepcopy(kept)
    for node in dicts(kept):
        _without_hub(node)
    return kept


def innermost(dataset: Any) -> Mapping[str, Any]:
    """Return the config of the data set inside of wrappers, of the first one where several are joined."""
    while isinstance(dataset, Mapping) and "pipeline" not in dataset:
        joined = dataset.get("datasets")
        dataset = dataset.get("dataset") or (joined[0] if isinstance(joined, (list, tuple)) and joined else None)
    return dataset if isinstance(dataset, Mapping) else {}


def _without_hub(node: dict[str, Any]) -> None:
    """Name one of timm's own models directly, so that building it asks no hub for a description."""
    name = node.get("model_name")
    if isinstance(name, str) and name.startswith(HUB):
        own = name.partition("/")[2]
        if is_model_pretrained(own):
            node["model_name"] = own


def holds_dict(value: Any) -> bool:
    """Return whether a value is or holds a dict."""
    return next(dicts(value), None) is not None


def dicts(value: Any) -> Iterator[dict[str, Any]]:
    """Yield all dicts of nested dicts, lists and tuples."""
    if isinstance(value, dict):
        yield value
    items = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    for child in items:
        yield from dicts(child)
