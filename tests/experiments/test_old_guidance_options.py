"""Options and configs with guidance's old arguments give the configs that the current ones give."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from mmengine.config import Config

from davpt_seg.core.build import read_guidance
from davpt_seg.core.guidance.old_guidance import current_option
from davpt_seg.errors import InputError
from davpt_seg.experiments.catalog import config_root
from davpt_seg.experiments.compose import compose_from_words
from davpt_seg.experiments.option_values import parsed_options
from davpt_seg.experiments.options import put_options

CAMVID = "head=linear,trunk=vits14,data=camvid_crop112,schedule=adamw_400i"


def of_plans() -> list[list[str]]:
    """The options of the measured plans, whose run definitions hold the old names."""
    found: list[list[str]] = []

    def collect(node: Any) -> None:
        if isinstance(node, Mapping):
            if "cfg_options" in node:
                found.append(node["cfg_options"])
            for child in node.values():
                collect(child)
        elif isinstance(node, list):
            for child in node:
                collect(child)

    for name in ("zero_start_camvid", "zero_start_cifar10_1k"):
        collect(yaml.safe_load((Path(config_root()) / "benchmarks" / f"{name}.yaml").read_text()))
    return [options for options in found if any("guidance" in option for option in options)]


@pytest.mark.parametrize("options", of_plans(), ids=" ".join)
def test_options_of_measured_plans_do_what_they_did(options: list[str]) -> None:
    cfg = compose_from_words(f"method=davpt+zero_start,{CAMVID},prompt_scale=1")
    parsed = {key: value for key, value in parsed_options(options).items() if "guidance" in key}
    put_options(cfg, parsed)
    guidance = cfg.model.backbone.guidance
    for key, value in parsed.items():
        group, _, name = current_option(key).removeprefix("model.backbone.guidance.").partition(".")
        assert guidance[group] == value if not name else guidance[group][name] == value
    read_guidance(guidance.to_dict(), (14, 14))


def test_old_and_new_options_over_old_and_new_configs_are_one() -> None:
    old = dict(num_classes=3, metric="proxy_nca", scale=2.0, labels="image")
    new = dict(num_classes=3, metric=dict(kind="proxy_nca", scale=2.0), labelling=dict(labels="image"))
    options = {"metric": "triplet", "scale": None, "margin": 0.2, "class_means": "image"}
    made = []
    for guidance in (old, new):
        for rename in (str, current_option):
            cfg = Config(dict(model=dict(backbone=dict(guidance=dict(guidance)))))
            put_options(cfg, {rename(f"model.backbone.guidance.{name}"): value for name, value in options.items()})
            made.append(cfg.model.backbone.guidance.to_dict())
    assert all(each == made[0] for each in made)
    assert made[0]["metric"] == dict(kind="triplet", scale=None, margin=0.2)
    assert made[0]["labelling"] == dict(labels="image") and made[0]["mapping"] == dict(class_means="image")


def test_a_misspelled_option_of_a_group_is_refused() -> None:
    cfg = Config(dict(model=dict(backbone=dict(guidance=dict(metric=dict(prompt_scale=2.0))))))
    with pytest.raises(InputError, match=r"guidance\.metric has no 'prompt_scal'; did you mean 'prompt_scale'"):
        put_options(cfg, {"model.backbone.guidance.metric.prompt_scal": 1.0})
