"""Weights under foreign prefixes and for other numbers of bands: loaded by an option, which the refusal names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from mmengine.config import Config
from timm.models import adapt_input_conv

from davpt_seg.core.weights import load_weights
from davpt_seg.core.weights.names import PATCH_KERNEL as KERNEL
from davpt_seg.errors import InputError
from davpt_seg.experiments.option_values import parsed_options
from davpt_seg.experiments.options import put_options

from . import checkpoint_writers as write
from .test_weights import TINY, save, vit

FOREIGN = {
    "model.net.": lambda state: {"model": write.prefixed(state, "net.")},
    "encoder.": lambda state: write.prefixed(state, "encoder."),
    "image_encoder.trunk.": lambda state: write.prefixed(state, "image_encoder.trunk."),
    "state_dict.net.": lambda state: {"state_dict": write.prefixed(state, "net."), "epoch": 3, "hyper_parameters": {}},
    "visual.": lambda state: {**write.prefixed(state, "visual."), "text.weight": torch.rand(2, 2)},
    "student.": lambda state: write.prefixed(state, "student."),
}


@pytest.mark.parametrize("prefix", FOREIGN)
def test_a_foreign_prefix_is_listed_and_loads_by_the_option_that_the_message_names(prefix: str, tmp_path: Path) -> None:
    reference, trunk = vit(), vit()
    state = write.randomise(reference)
    path = save(FOREIGN[prefix]({**state, **write.head(32)}), tmp_path / "foreign.pth")
    with pytest.raises(InputError) as error:
        load_weights(trunk, str(path))
    assert f"weights=dict(path={str(path)!r}, prefix={prefix!r}), or --cfg-options model.backbone.weights=" in str(
        error.value
    )
    load_weights(trunk, dict(path=path, prefix=prefix))
    for name, value in trunk.state_dict().items():
        assert torch.equal(value, state[name]), name


def test_of_several_prefixes_the_named_one_is_loaded_and_the_rest_is_logged_as_left_out(tmp_path: Path) -> None:
    one, two = write.randomise(vit(), 1), write.randomise(vit(), 2)
    path = save({**write.prefixed(one, "student.enc."), **write.prefixed(two, "teacher.enc.")}, tmp_path / "two.pth")
    with pytest.raises(InputError, match=r"ViTs are in it under 'student.enc.', 'teacher.enc.'; name one: "):
        load_weights(vit(), str(path))
    trunk = vit()
    checkpoint = load_weights(trunk, dict(path=path, prefix="teacher.enc"))
    assert torch.equal(trunk.state_dict()[KERNEL], two[KERNEL])
    assert checkpoint.left_out["not under 'teacher.enc'"] == [f"student.enc.{name}" for name in one]
    with pytest.raises(InputError, match=r"prefix='net.': .* has no tensor under it; a ViT is under 'student.enc.'"):
        load_weights(vit(), dict(path=path, prefix="net."))


def test_the_container_of_a_prefix_may_be_omitted(tmp_path: Path) -> None:
    state, trunk = write.randomise(vit()), vit()
    path = save({"state_dict": write.prefixed(state, "net.")}, tmp_path / "lightning.ckpt")
    load_weights(trunk, dict(path=path, prefix="net."))
    assert torch.equal(trunk.state_dict()[KERNEL], state[KERNEL])


def test_another_format_is_read_under_a_prefix(tmp_path: Path) -> None:
    state, trunk = write.randomise(vit()), vit()
    path = save(write.prefixed(write.mmseg(state), "my.encoder."), tmp_path / "mmseg.pth")
    assert load_weights(trunk, dict(path=path, prefix="my.encoder.")).format == "mmseg"


def test_a_file_without_any_vit_has_no_such_advice(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="of no known format") as error:
        load_weights(vit(), str(save({"a.b": torch.rand(2)}, tmp_path / "other.pth")))
    assert "prefix" not in str(error.value)


@pytest.mark.parametrize("bands", [1, 2, 4, 7])
def test_kernels_for_other_bands_are_those_that_timm_makes(bands: int, tmp_path: Path) -> None:
    reference = vit()
    state = write.randomise(reference)
    path = save(state, tmp_path / "rgb.safetensors")
    trunk = vit(in_chans=bands)
    with pytest.raises(InputError, match=r"adapt_input=True") as error:
        load_weights(trunk, str(path))
    assert "resample_patch" not in str(error.value) and f"{bands} bands" in str(error.value)
    checkpoint = load_weights(trunk, dict(path=path, adapt_input=True))
    assert torch.equal(trunk.state_dict()[KERNEL], adapt_input_conv(bands, state[KERNEL]))
    assert f"patch embedding adapted from 3 to {bands} bands" in checkpoint.notes
    timms = timm.create_model(  # what timm itself loads
        "vit_tiny_patch16_224", in_chans=bands, num_classes=0, pretrained=True, **TINY,
        pretrained_cfg_overlay=dict(file=str(path), num_classes=0),
    )  # fmt: skip
    for name, value in timms.state_dict().items():
        assert torch.equal(trunk.state_dict()[name], value), name


def test_bands_and_patches_are_adapted_together(tmp_path: Path) -> None:
    path = save(write.randomise(vit()), tmp_path / "rgb.pth")
    other = vit(in_chans=4, **{**TINY, "patch_size": 4})
    with pytest.raises(InputError, match=r"(?s)adapt_input=True.*resample_patch=True"):
        load_weights(other, str(path))
    load_weights(other, dict(path=path, adapt_input=True, resample_patch=True))


def test_kernels_of_other_than_three_bands_are_not_adapted(tmp_path: Path) -> None:
    path = save(write.randomise(vit(in_chans=4)), tmp_path / "four.pth")
    with pytest.raises(InputError, match="of another shape") as error:
        load_weights(vit(), dict(path=path, adapt_input=True))
    assert "adapt_input" not in str(error.value)


@pytest.mark.parametrize(
    ("before", "options", "after"),
    [
        (None, ["W=a.pth", "W.prefix=net."], dict(path="a.pth", prefix="net.")),
        (None, ["W.prefix=net.", "W=a.pth"], dict(path="a.pth", prefix="net.")),
        ("b.pth", ["W.prefix=net.", "W.adapt_input=True"], dict(path="b.pth", prefix="net.", adapt_input=True)),
        (dict(path="b.pth", which="model"), ["W.which=student"], dict(path="b.pth", which="student")),
        ("b.pth", ["W=a.pth"], "a.pth"),
    ],
)
def test_options_of_weights_are_put_beside_their_path(before: Any, options: list[str], after: Any) -> None:
    cfg = Config(dict(model=dict(backbone=dict(type="PromptedViT", weights=before))))
    put_options(cfg, parsed_options([option.replace("W", "model.backbone.weights", 1) for option in options]))
    assert cfg.model.backbone.weights == after
