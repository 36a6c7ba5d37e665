"""Mean and standard deviation of pixels are those of timm's weights, or a warning names both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import timm
from mmengine.config import Config

from davpt_seg.experiments.catalog import config_root
from davpt_seg.experiments.normalisation import contradiction
from davpt_seg.experiments.options import put_options
from davpt_seg.experiments.parts import read_part

IMAGENET = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])
HALF = dict(mean=[127.5] * 3, std=[127.5] * 3)
DINOV3, AUGREG = "vit_base_patch16_dinov3.lvd1689m", "vit_base_patch16_224.augreg_in21k"
TRUNKS = sorted(path.stem for path in (config_root() / "_base_" / "models").glob("*.py"))


def config(model_name: str, values: dict[str, Any], **backbone: Any) -> Config:
    return Config(dict(model=dict(data_preprocessor=dict(values), backbone=dict(model_name=model_name, **backbone))))


@pytest.mark.parametrize("name", [name for name in TRUNKS if name != "classifier_base"])
def test_each_of_our_models_normalises_as_its_weights_expect(name: str) -> None:
    assert contradiction(Config(read_part("trunk", name))) == ""


def test_the_constants_are_timms() -> None:
    found = timm.get_pretrained_cfg(DINOV3)
    exact = dict(mean=[255 * value for value in found.mean], std=[255 * value for value in found.std])
    assert contradiction(config(DINOV3, exact)) == ""
    assert contradiction(config(DINOV3, IMAGENET)) == ""


@pytest.mark.parametrize("values", [HALF, dict(IMAGENET, std=[1.0]), {}, dict(mean=None, std=None)], ids=str)
def test_other_constants_are_described_with_the_fix(values: dict[str, Any]) -> None:
    text = contradiction(config(DINOV3, values, pretrained=True))
    assert f"mean={values.get('mean')}, std={values.get('std')}, but {DINOV3}" in text
    fix = "model.data_preprocessor.mean=[123.675,116.28,103.53] model.data_preprocessor.std=[58.395,57.12,57.375]"
    assert text.endswith(f"--cfg-options {fix}")


@pytest.mark.parametrize(
    ("model_name", "backbone"),
    [
        ("vit_base_patch16_224", dict(weights="mocov3.pth")),  # the file's constants, which nothing names
        ("vit_base_patch16_224", {}),  # random weights
        ("vit_base_patch16_224.nothing", dict(pretrained=True)),  # refused when it is built
        ("no_such_model", dict(pretrained=True)),
        ("vit_base_patch32_384", dict(weights="file.pth")),
    ],
)
def test_what_timm_says_nothing_of_is_compared_with_nothing(model_name: str, backbone: dict[str, Any]) -> None:
    assert contradiction(config(model_name, IMAGENET, **backbone)) == ""


def test_a_tag_names_the_weights_of_a_file_and_a_name_without_tag_timms_own() -> None:
    assert contradiction(config(AUGREG, IMAGENET, weights="augreg.npz"))
    assert contradiction(config("vit_base_patch16_224", IMAGENET, pretrained=True))
    assert contradiction(config(AUGREG, dict(mean=[127.5], std=[127.5]))) == ""  # one value for three colours


def test_mmpretrains_place_at_the_top_is_read_too() -> None:
    cfg = Config(dict(data_preprocessor=IMAGENET, model=dict(backbone=dict(model_name=AUGREG))))
    assert "mean=[123.675" in contradiction(cfg)
    assert contradiction(Config(dict(model=dict(backbone=dict(type="ResNet"))))) == ""
    assert contradiction(Config({})) == ""


def test_another_model_name_brings_its_constants() -> None:
    cfg = config(AUGREG, HALF, pretrained=True)
    put_options(cfg, {"model.backbone.model_name": DINOV3})
    assert dict(cfg.model.data_preprocessor) == IMAGENET
    assert contradiction(cfg) == ""


@pytest.mark.parametrize(
    ("values", "options"),
    [
        (IMAGENET, {}),  # a choice that the name before did not explain
        (HALF, {"model.data_preprocessor.mean": [1.0, 2.0, 3.0]}),  # set beside it
    ],
)
def test_constants_that_were_chosen_stay_beside_another_model_name(
    values: dict[str, Any], options: dict[str, Any]
) -> None:
    cfg = config("vit_base_patch16_224.augreg_in21k", values, pretrained=True)
    put_options(cfg, {"model.backbone.model_name": "vit_base_patch16_clip_224.openai", **options})
    chosen = {**values, **{key.rpartition(".")[2]: value for key, value in options.items()}}
    assert dict(cfg.model.data_preprocessor) == chosen
    assert contradiction(cfg)


def test_a_file_that_changes_the_name_alone_is_warned_of(tmp_path: Path) -> None:
    base = config_root() / "_base_" / "models" / "upernet_vitl.py"
    path = tmp_path / "mine.py"
    path.write_text(f"_base_ = {str(base)!r}\nmodel = dict(backbone=dict(model_name={DINOV3!r}))\n")
    assert DINOV3 in contradiction(Config.fromfile(path))
