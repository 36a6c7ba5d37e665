"""A trunk is asked about before it is built, and what it loses is reported."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import timm
import torch

from davpt_seg.core import PromptedViT, trunk
from davpt_seg.core.trunk import create_trunk
from davpt_seg.errors import InputError


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The devices that timm's models are built on; asking for pretrained weights there is an error."""
    devices = []

    def create_model(*args: Any, pretrained: bool = False, **kwargs: Any) -> Any:
        devices.append(torch.empty(0).device.type)
        assert not pretrained or devices[-1] == "cpu"
        return create(*args, pretrained=False, **kwargs)

    create = timm.create_model
    monkeypatch.setattr(timm, "create_model", create_model)
    return devices


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("samvit_huge_patch16", "most of its blocks attend within windows"),
        ("naflexvit_base_patch16_gap", "it takes patches as a padded sequence"),
        ("vit_large_r50_s32_224", "a convolutional network makes its patches"),
        ("vit_dwee_patch16_reg1_gap_256", "its attention is a difference of two softmaxes"),
        ("swin_large_patch4_window12_384", ""),
        ("vit_huge_patch14_gap_224.no_such_tag", ""),
        ("vit_base_patch14_no_such_size", ""),
    ],
)
def test_a_trunk_that_is_refused_is_neither_built_nor_downloaded(built: list[str], name: str, message: str) -> None:
    with pytest.raises(InputError, match=rf"model_name '{name}'.*{message}"):
        PromptedViT(name, pretrained=True)
    assert set(built) <= {"meta"}


@pytest.mark.parametrize(
    "arguments",
    [
        dict(prompts=dict(num_prompts=2, norm="l1")),
        dict(adapters=[dict(type="lora", rank=0)]),
        dict(guidance=dict(num_classes=-1)),
        dict(trunk_mode="frozen"),
        dict(timm_kwargs=dict(num_classes=3)),
    ],
)
def test_no_trunk_is_built_for_arguments_that_are_refused(built: list[str], arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must be|sets or excludes"):
        PromptedViT("vit_large_patch16_224", pretrained=True, **arguments)
    assert not built


def test_a_trunk_that_is_taken_is_built_once_after_it_was_asked_about(built: list[str]) -> None:
    create_trunk("vit_tiny_patch16_224", True, dict(depth=1))
    assert built == ["meta", "cpu"]


def test_a_model_without_pretrained_weights_is_refused_before_it_is_built(built: list[str]) -> None:
    with pytest.raises(InputError, match=r"no pretrained weights of 'vit_base_patch16_gap_224'; .*list_pretrained"):
        create_trunk("vit_base_patch16_gap_224", True, {})
    assert built == ["meta"]


def test_asking_leaves_the_random_numbers_of_what_is_built_as_they_were() -> None:
    torch.manual_seed(0)
    asked = create_trunk("vit_tiny_patch16_224", False, dict(depth=1)).state_dict()
    torch.manual_seed(0)
    plain = timm.create_model("vit_tiny_patch16_224", num_classes=0, depth=1).state_dict()
    assert asked.keys() == plain.keys() and all(torch.equal(asked[name], plain[name]) for name in plain)


@pytest.mark.parametrize(
    ("name", "lost"),
    [
        ("deit_tiny_distilled_patch16_224", "its class token's and its distillation token's"),
        ("vit_base_patch16_siglip_224", "an attention pool over its tokens"),
        ("vit_tiny_patch16_224", ""),
        ("vit_base_patch16_siglip_gap_224", ""),
    ],
)
def test_a_pooling_that_is_dropped_is_reported_once(caplog: pytest.LogCaptureFixture, name: str, lost: str) -> None:
    trunk._report_pooling.cache_clear()
    caplog.set_level(logging.WARNING)
    for _ in range(2):
        create_trunk(name, False, dict(depth=1))
    reports = [record.getMessage() for record in caplog.records if "dropped" in record.getMessage()]
    assert len(reports) == bool(lost)
    assert all(name in report and lost in report for report in reports)


@pytest.mark.parametrize("sizes", [dict(img_size=16, patch_size=1000), dict(img_size=(32, 4), patch_size=8)])
def test_patches_larger_than_the_image_are_refused(sizes: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"has no patches of patch_size .*; make img_size a multiple"):
        PromptedViT("vit_tiny_patch16_224", timm_kwargs=dict(sizes, embed_dim=16, depth=2, num_heads=2))


def test_the_same_arguments_are_checked_once_in_a_process(built: list[str]) -> None:
    trunk._plan.cache_clear()
    tiny = dict(img_size=16, patch_size=8, embed_dim=8, num_heads=2)
    for _ in range(3):
        create_trunk("vit_tiny_patch16_224", False, dict(tiny, depth=1))
    assert built == ["meta", "cpu", "cpu", "cpu"]
    create_trunk("vit_tiny_patch16_224", False, dict(tiny, depth=2))
    create_trunk("vit_tiny_patch16_224", False, dict(tiny, img_size=[16, 24], depth=1))  # a list, as JSON brings it
    assert built[4:] == ["meta", "cpu"] * 2
    with pytest.raises(InputError, match=r"'depth': 1.0"):  # equal to 1, and no number of blocks
        create_trunk("vit_tiny_patch16_224", False, dict(tiny, depth=1.0))
