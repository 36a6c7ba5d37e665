"""Hooks, samplers, metrics and the backbone from configs name the argument that is wrong."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import pytest
from mmengine.config import ConfigDict
from mmengine.registry import DATA_SAMPLERS, DATASETS, HOOKS, METRICS, MODELS, Registry

import davpt_seg.datasets
import davpt_seg.engine
import davpt_seg.models  # noqa: F401
from tests.core.test_arguments import MUTATIONS, TINY


class Images(list):
    """A data set of four images of two classes."""

    def get_data_info(self, index: int) -> dict[str, Any]:
        return dict(gt_label=self[index])


#: Of each module: its registry, a value for each argument, and what else it is built from.
MODULES: dict[str, tuple[Registry, dict[str, Any], dict[str, Any]]] = {
    "PromptMappingHook": (
        HOOKS,
        dict(interval=1, first_pass_batches=2, first_pass_images_per_class=3, cache_dir=None),
        {},
    ),
    "MetricLossHook": (HOOKS, dict(log_stats=True), {}),
    "DataMeanInitHook": (HOOKS, dict(num_images=2, seed=0), {}),
    "PKSampler": (DATA_SAMPLERS, dict(batch_size=2, classes_per_batch=2, seed=0), dict(dataset=Images([0, 0, 1, 1]))),
    "SegmentationReport": (METRICS, dict(picture=None, json=None, about=None, ignore_index=255), {}),
    "RandomSubset": (
        DATASETS, dict(num_images=2, seed=0),
        dict(dataset=dict(type="mmengine.dataset.BaseDataset", serialize_data=False, lazy_init=True)),
    ),
    "PromptedViT": (
        MODELS,
        dict(out_type="featmap", out_indices=[0], frozen=True, with_cp=False, drop_path_rate=0.0),
        dict(model_name="vit_tiny_patch16_224", timm_kwargs=TINY),
    ),
}  # fmt: skip


@pytest.mark.parametrize("module", MODULES)
def test_a_mutated_argument_is_taken_or_named(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    registry, arguments, others = MODULES[module]
    monkeypatch.setattr("mmengine.dataset.BaseDataset.full_init", lambda self: None)
    monkeypatch.setattr("mmengine.dataset.BaseDataset.__len__", lambda self: 4)
    monkeypatch.setattr("mmengine.dataset.BaseDataset.get_subset_", lambda self, indices: None)
    build: Callable[..., Any] = lambda **config: registry.build(ConfigDict(type=module, **config, **others))  # noqa: E731
    build(**arguments)
    refused = 0
    for name in arguments:
        for value in MUTATIONS:
            said = None
            try:
                build(**{**arguments, name: value})
            except ValueError as error:
                said = str(error)
                refused += 1
            assert re.search(rf"\b{name}\b", said or name), f"{name}={value!r}: {said}"
            assert said or not isinstance(value, float) or math.isfinite(value), f"{name}={value!r}"
    assert refused > len(arguments) * len(MUTATIONS) // 2


def test_an_unknown_argument_of_a_hook_is_named_with_the_nearest_one() -> None:
    with pytest.raises(ValueError, match="MetricLossHook has no argument 'log_stat'; did you mean 'log_stats'"):
        HOOKS.build(dict(type="MetricLossHook", log_stat=True))
