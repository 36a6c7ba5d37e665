"""A frozen trunk in int8: how near it is to the float trunk, what learns beside it, and what is refused."""

from __future__ import annotations

import copy
import io
import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from davpt_seg.core import PromptedViT
from davpt_seg.core.quantization import Int8Linear, names_as_in
from davpt_seg.core.sharding import shard_blocks
from davpt_seg.core.tuning import trained_table
from davpt_seg.errors import InputError

from .blocks.families import FAMILIES, SMALL, family_vit
from .int8 import Int8Tensor, PerRow, fake_torchao, no_torchao  # noqa: F401  (fixtures)
from .methods import CASES, GUIDED, METHODS
from .test_methods import gradients, images, learned, stir
from .test_precision import full
from .tiny import TINY, tiny_vit

pytestmark = pytest.mark.usefixtures("fake_torchao")
by_method = pytest.mark.parametrize("name", METHODS)


def int8(state: dict[str, Tensor], name: str, **further: Any) -> PromptedViT:
    """A method on an int8 trunk, loaded from a checkpoint."""
    arguments = {**CASES[name].arguments, **further}
    model = PromptedViT("vit_tiny_patch16_224", timm_kwargs=TINY, trunk_quantization="int8", **arguments)
    model.load_state_dict(state)
    return model


def rounded(model: PromptedViT) -> PromptedViT:
    """A float32 model whose linear layers were rounded by hand."""
    for module in model.trunk.modules():
        if isinstance(module, nn.Linear):
            scale = module.weight.abs().amax(dim=1, keepdim=True) / 127.5
            module.weight.data = (module.weight * (1 / scale)).round().clamp(-128, 127) * scale
    return model


@pytest.mark.parametrize("name", [name for name in (*METHODS, *GUIDED) if name != "linear"])
def test_it_learns_as_a_float_trunk_of_the_same_rounding(name: str) -> None:
    """But for rounding; and in nearly the direction of the float32 trunk."""
    exact = full(name).train()
    model, reference = int8(exact.state_dict(), name).train(), rounded(full(name)).train()
    assert learned(model).keys() == learned(exact).keys()
    assert {parameter.dtype for parameter in learned(model).values()} == {torch.float32}
    found, expected, wanted = gradients(model), gradients(reference), gradients(exact)
    for key, gradient in found.items():
        torch.testing.assert_close(gradient, expected[key], rtol=1e-5, atol=1e-5)
        if "_key" not in key:  # whose gradients are zero, or all rounding
            assert torch.cosine_similarity(gradient.flatten(), wanted[key].flatten(), dim=0) > 0.99, key


@pytest.mark.parametrize("trunk", ["dinov3 swiglu", "eva02 apart", "rope mixed", "eva02"])
def test_it_learns_so_on_trunks_with_rotary_positions(trunk: str) -> None:
    arguments = dict(prompts=dict(num_prompts=4), adapters=[dict(type="lora", rank=2)])
    reference = stir(family_vit(trunk, **arguments)).float().train()
    name, changes = FAMILIES[trunk]
    model = PromptedViT(name, timm_kwargs={**SMALL, **changes}, trunk_quantization="int8", **arguments).train()
    model.load_state_dict(reference.state_dict())
    expected = gradients(rounded(reference))
    for key, gradient in gradients(model).items():
        torch.testing.assert_close(gradient, expected[key], rtol=1e-4, atol=1e-4)


def test_its_outputs_are_within_two_percent_of_the_float_trunks() -> None:
    reference = full("linear")
    found = int8(reference.state_dict(), "linear")(images().float()).maps[0]
    expected = reference(images().float()).maps[0]
    assert (found - expected).norm() < 0.02 * expected.norm()


@pytest.mark.parametrize("half", ["bfloat16", "float16"])
def test_it_computes_in_half_precision_too(half: str) -> None:
    state = full("vpt_deep").state_dict()
    wanted = gradients(int8(state, "vpt_deep").train())
    model = int8(state, "vpt_deep", trunk_dtype=half).train()
    assert model.trunk.blocks[0].mlp.fc1.bias.dtype == getattr(torch, half)
    assert model.trunk.blocks[0].mlp.fc1.weight_scale.dtype == torch.float32
    for key, gradient in gradients(model).items():
        assert torch.cosine_similarity(gradient.flatten(), wanted[key].flatten(), dim=0) > 0.99, key


def test_linear_layers_take_a_quarter_and_nothing_else_changes() -> None:
    reference = full("lora")
    model = int8(reference.state_dict(), "lora")
    layers = [module for module in model.trunk.modules() if isinstance(module, nn.Linear)]
    assert layers and all(type(layer) is Int8Linear and layer.weight_int8.dtype == torch.int8 for layer in layers)
    for key, value in reference.state_dict().items():
        if f"{key}_int8" not in model.state_dict():
            assert torch.equal(model.state_dict()[key], value), key
    assert trained_table(model) == trained_table(reference)


def test_weights_at_construction_and_from_a_checkpoint_are_rounded_alike() -> None:
    torch.manual_seed(0)
    built = PromptedViT("vit_tiny_patch16_224", timm_kwargs=TINY, trunk_quantization="int8")
    torch.manual_seed(0)
    plain = PromptedViT("vit_tiny_patch16_224", timm_kwargs=TINY)
    loaded = int8(plain.state_dict(), "linear")
    assert all(torch.equal(value, loaded.state_dict()[key]) for key, value in built.state_dict().items())


def test_a_models_tensors_have_the_names_of_a_checkpoint_that_fills_them() -> None:
    state = full("lora").state_dict()
    own = int8(state, "lora").state_dict()
    assert names_as_in(state, own).keys() == state.keys()
    assert names_as_in(own, own).keys() == own.keys()


@by_method
def test_a_checkpoint_brings_the_same_bits_back_to_it(name: str) -> None:
    model = int8(full(name).state_dict(), name)
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    other = int8(torch.load(file, weights_only=True), name)
    assert all(torch.equal(value, other.state_dict()[key]) for key, value in model.state_dict().items())
    assert torch.equal(other(images().float()).maps[0], model(images().float()).maps[0])


@by_method
def test_it_folds_and_keeps_what_int8_weights_cannot_take(name: str) -> None:
    model = int8(full(name).state_dict(), name).eval()
    before = model(images().float()).maps[0]
    folded = copy.deepcopy(model).fold()
    torch.testing.assert_close(folded(images().float()).maps[0], before, rtol=1e-5, atol=1e-4)
    other = PromptedViT(
        "vit_tiny_patch16_224", timm_kwargs=TINY, trunk_quantization="int8", **CASES[name].arguments
    ).fold()
    other.load_state_dict(folded.state_dict())
    assert torch.equal(other(images().float()).maps[0], folded(images().float()).maps[0])


def test_gradient_checkpointing_changes_no_gradient_of_an_int8_trunk() -> None:
    state = full("lora_everywhere").state_dict()
    plain, saving = (gradients(int8(state, "lora_everywhere", with_cp=on).train()) for on in (False, True))
    assert all(torch.equal(saving[key], gradient) for key, gradient in plain.items())


@pytest.mark.parametrize("further", [dict(tuned=["blocks.*.mlp.fc1.bias"]), dict(frozen=False)])
def test_trained_parameters_of_an_int8_trunk_are_refused(further: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"trunk_quantization='int8' is for a frozen trunk.*omit"):
        tiny_vit(trunk_quantization="int8", **further)


def test_blocks_in_int8_are_not_sharded() -> None:
    with pytest.raises(InputError, match=r"each card would keep them all: omit trunk_quantization"):
        shard_blocks(int8(full("linear").state_dict(), "linear"))


def test_another_quantization_is_refused() -> None:
    with pytest.raises(InputError, match=r"trunk_quantization must be .*int8.* got 'int4'"):
        tiny_vit(trunk_quantization="int4")


@pytest.mark.usefixtures("no_torchao")
def test_without_torchao_the_message_says_what_to_install() -> None:
    with pytest.raises(InputError, match=r"needs torchao .* pip install 'torchao>=0.18'"):
        tiny_vit(trunk_quantization="int8")


def test_torchao_rounds_and_multiplies_as_the_stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("torchao", "torchao.quantization"):
        monkeypatch.delitem(sys.modules, name)
    torchao = pytest.importorskip("torchao.quantization")
    weight = torch.randn(48, 32, generator=torch.Generator().manual_seed(0))
    weight[7] = 0
    ours, theirs = Int8Tensor.from_hp(weight, PerRow()), torchao.Int8Tensor.from_hp(weight, torchao.PerRow())
    assert torch.equal(ours.qdata, theirs.qdata)
    torch.testing.assert_close(ours.scale[weight.any(dim=1)], theirs.scale[weight.any(dim=1)], rtol=0, atol=0)
    model = int8(full("vpt_deep").state_dict(), "vpt_deep").train()
    found = gradients(model)
    expected = gradients(rounded(full("vpt_deep")).train())
    assert type(model.trunk.blocks[0].attn.qkv.weight) is torchao.Int8Tensor
    for key, gradient in found.items():
        torch.testing.assert_close(gradient, expected[key], rtol=1e-4, atol=1e-5)
