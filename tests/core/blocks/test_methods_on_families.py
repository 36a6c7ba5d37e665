"""Methods on ViTs whose blocks are built in another way: what learns has a gradient, and folding keeps the outputs."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from davpt_seg.core import PromptedViT
from davpt_seg.errors import InputError

from ..methods import METHODS
from ..test_export import assert_exports_with_any_batch
from ..test_methods import stir
from .families import family_vit
from .test_families import draw, walked

SIZE = (24, 37)
TRUNKS = ["beit", "post-norm", "post-norm eva", "parallel scaling", "parallel things"]
LORA = dict(targets=["in_proj", "attn_out_proj", "mlp_out_proj"])
#: Each place where something can join, once or more.
TRIED = ["bias", "lora_everywhere", "ssf", "adapter", "adaptformer", "e2vpt_zero_offset", "zero_gate", "gatevpt"]
TRIED += ["carried_first"]

by_trunk = pytest.mark.parametrize("trunk", TRUNKS)


def build(name: str, trunk: str, **further: Any) -> PromptedViT:
    torch.manual_seed(0)
    arguments = dict(METHODS[name].arguments)
    if name == "lora_everywhere" and trunk == "parallel scaling":
        arguments["adapters"] = [{**arguments["adapters"][0], **LORA}]
    return stir(family_vit(trunk, **arguments, **further))


@by_trunk
@pytest.mark.parametrize("name", TRIED)
def test_all_that_learns_has_a_gradient_and_folding_keeps_the_outputs(name: str, trunk: str) -> None:
    model, images = build(name, trunk, norm_maps=True).train(), draw(SIZE)
    learned = {key: value for key, value in model.named_parameters() if value.requires_grad}
    (before,) = model(images).maps
    weights = torch.linspace(-1, 1, before.numel(), dtype=before.dtype).view_as(before)
    found = torch.autograd.grad((weights * before.square()).sum(), list(learned.values()), allow_unused=True)
    never = METHODS[name].never  # a key bias, unless keys are compared after a rotation or a norm
    for key, gradient in zip(learned, found):
        if not any(part in key for part in never):
            assert gradient is not None and gradient.abs().max() > 1e-9, key
    model.with_cp = True
    torch.testing.assert_close(model(images).maps[0], before, rtol=0, atol=1e-12)
    torch.testing.assert_close(model.fold()(images).maps[0], before, rtol=0, atol=1e-10)


@by_trunk
@pytest.mark.parametrize("name", ["bias", "lora_everywhere", "ssf"])
def test_what_folds_into_the_weights_leaves_a_trunk_for_timms_own_forward_pass(name: str, trunk: str) -> None:
    model, images = build(name, trunk, norm_maps=True), draw((32, 32))
    (before,) = model.eval()(images).maps
    timms = model.fold().trunk
    patches = timms.fc_norm(timms.forward_features(images)[:, timms.num_prefix_tokens :])
    torch.testing.assert_close(patches.transpose(1, 2).view_as(before), before, rtol=0, atol=1e-10)


@by_trunk
def test_a_trunk_in_training_drops_the_paths_that_timm_drops(trunk: str) -> None:
    model, images = family_vit(trunk, trunk_mode="train", drop_path_rate=0.5).train(), draw((32, 32)).repeat(4, 1, 1, 1)
    torch.manual_seed(3)
    ours = model.trunk.norm(walked(model, images))
    torch.manual_seed(3)
    torch.testing.assert_close(ours, model.trunk.forward_features(images), rtol=0, atol=1e-10)
    torch.manual_seed(4)
    assert not torch.allclose(model.trunk.norm(walked(model, images)), ours)


@by_trunk
def test_guidance_records_prompts_and_patches_of_one_width(trunk: str) -> None:
    metric = dict(image_token="mean")
    guidance = dict(num_classes=5, metric=metric, blocks=[0, 1], mapping=dict(class_means="patch"))
    model = family_vit(trunk, prompts=dict(num_prompts=4, carry=0), guidance=guidance).train()
    width = 128 if trunk == "parallel things" else 64
    for record in model(draw(SIZE)).records:
        assert record.tokens.shape == (2, 15, width)
        assert record.prompts.shape == (4, width)


@pytest.mark.parametrize(
    "guidance",
    [
        dict(metric=dict(prompt_side="prompt")),
        dict(metric=dict(token_side="block_input")),
        dict(metric=dict(cls_side="block_input")),
        dict(num_prompts=4),
    ],
    ids=str,
)
def test_guidance_of_several_attentions_refuses_to_compare_raw_prompts_with_projections(guidance: Any) -> None:
    prompts = {} if "num_prompts" in guidance else dict(prompts=dict(num_prompts=4))
    with pytest.raises(InputError, match=r"project to 128 channels, tokens and prompts have 64: set"):
        family_vit("parallel things", guidance=dict(num_classes=5, **guidance), **prompts)


def test_guidance_of_several_attentions_compares_raw_prompts_with_raw_tokens() -> None:
    metric = dict(prompt_side="prompt", token_side="block_input", cls_side="block_input")
    guidance = dict(num_classes=5, metric=metric)
    model = family_vit("parallel things", prompts=dict(num_prompts=4), guidance=guidance).train()
    (record,) = model(draw(SIZE)).records
    assert record.tokens.shape[-1] == record.prompts.shape[-1] == 64


@pytest.mark.parametrize("trunk", ["parallel scaling", "parallel things"])
def test_parallel_blocks_export_with_a_dynamic_batch(trunk: str) -> None:
    assert_exports_with_any_batch(family_vit(trunk, prompts=dict(num_prompts=2, carry=0)))


def test_lora_of_one_layer_for_attention_and_ffn_is_asked_for_by_its_name() -> None:
    known = r"\['in_proj', 'attn_out_proj', 'mlp_out_proj'\]"
    with pytest.raises(InputError, match=rf"lora targets \['attn.qkv'\] must be linear layers .* {known}"):
        family_vit("parallel scaling", adapters=[dict(type="lora")])
