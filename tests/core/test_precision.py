"""A frozen trunk in half precision: what it equals, what stays float32, and what is refused."""

from __future__ import annotations

import copy
import io

import pytest
import torch
from torch import Tensor

from davpt_seg.core import PromptedViT
from davpt_seg.errors import InputError

from .blocks.families import FAMILIES, SMALL, family_vit
from .methods import CASES, GUIDED, METHODS
from .test_methods import build, gradients, images, learned, loss, stir
from .tiny import TINY, tiny_vit

HALVES = ("bfloat16", "float16")

by_method = pytest.mark.parametrize("name", METHODS)
by_half = pytest.mark.parametrize("half", HALVES)


def full(name: str) -> PromptedViT:
    """A float32 model whose learned parameters have moved."""
    return stir(build(name)).float()


def halved(model: PromptedViT, name: str, half: str, **further: object) -> PromptedViT:
    """The same model with a trunk in half precision, loaded from its checkpoint."""
    made = PromptedViT(
        "vit_tiny_patch16_224", timm_kwargs=TINY, trunk_dtype=half, **{**CASES[name].arguments, **further}
    )
    made.load_state_dict(model.state_dict())
    return made


def gradients_under(model: PromptedViT, outer: str) -> dict[str, Tensor]:
    """Gradients of a loss that was computed in mixed precision."""
    with torch.autocast("cpu", dtype=getattr(torch, outer)):
        total = loss(model)
    return dict(zip(learned(model), torch.autograd.grad(total, list(learned(model).values()))))


@by_half
@pytest.mark.parametrize("name", [name for name in (*METHODS, *GUIDED) if name != "linear"])
def test_it_learns_as_a_float32_trunk_under_autocast(name: str, half: str) -> None:
    """Bit for bit; and in nearly the direction of float32, with losses and all that is learned in float32."""
    reference = full(name).train()
    model = halved(reference, name, half).train()
    total = loss(model)
    found = dict(zip(learned(model), torch.autograd.grad(total, list(learned(model).values()))))
    expected, exact = gradients_under(reference, half), gradients(reference)
    assert {total.dtype, *(gradient.dtype for gradient in found.values())} == {torch.float32}
    for key, gradient in found.items():
        assert torch.equal(gradient, expected[key]), key
        if "_key" not in key:  # whose gradients are zero, or all rounding
            assert torch.cosine_similarity(gradient.flatten(), exact[key].flatten(), dim=0) > 0.99, key


@by_half
@pytest.mark.parametrize("trunk", ["dinov3 swiglu", "eva02 apart", "rope mixed", "eva02"])
def test_it_learns_so_on_trunks_with_rotary_positions(trunk: str, half: str) -> None:
    arguments = dict(prompts=dict(num_prompts=4), adapters=[dict(type="lora", rank=2)])
    reference = stir(family_vit(trunk, **arguments)).float().train()
    name, changes = FAMILIES[trunk]
    model = PromptedViT(name, timm_kwargs={**SMALL, **changes}, trunk_dtype=half, **arguments).train()
    model.load_state_dict(reference.state_dict())
    found, expected, exact = gradients(model), gradients_under(reference, half), gradients(reference)
    for key, gradient in found.items():
        assert torch.equal(gradient, expected[key]), key
        assert torch.cosine_similarity(gradient.flatten(), exact[key].flatten(), dim=0) > 0.99, key


@by_half
def test_its_outputs_are_those_of_a_float32_trunk_under_autocast(half: str) -> None:
    reference = full("linear")
    with torch.autocast("cpu", dtype=getattr(torch, half)):
        expected = reference(images().float())
    found = halved(reference, "linear", half)(images().float())
    for one, other in zip((*found.maps, found.class_token, found.mean_token), (*expected.maps, *expected[:2])):
        assert one.dtype == torch.float32 and torch.equal(one, other)


@by_half
def test_its_outputs_are_those_of_a_model_cast_by_hand(half: str) -> None:
    """Of a float32 model whose matrices are rounded, as are the inputs and outputs of each linear layer."""
    reference, kind = full("linear"), getattr(torch, half)
    found = halved(reference, "linear", half)(images().float()).maps[0]
    for module in reference.trunk.modules():
        if isinstance(module, (torch.nn.Linear, torch.nn.Conv2d)):
            for parameter in module.parameters():
                parameter.data = parameter.data.to(kind).float()
            module.register_forward_pre_hook(lambda _, inputs: inputs[0].to(kind).float())
            module.register_forward_hook(lambda _, inputs, output: output.to(kind).float())
    by_hand, exact = reference(images().float()).maps[0], full("linear")(images().float()).maps[0]
    assert (found - by_hand).norm() < 0.5 * (found - exact).norm()


def test_frozen_parameters_take_half_the_memory() -> None:
    with torch.device("meta"):
        models = [
            PromptedViT("vit_large_patch16_224", prompts=dict(num_prompts=20), trunk_dtype=kind)
            for kind in ("float32", "bfloat16")
        ]
    sizes = [sum(p.numel() * p.element_size() for p in model.trunk.parameters()) for model in models]
    assert sizes[0] - sizes[1] > 600e6 and sizes[1] / sizes[0] < 0.501
    assert learned(models[0]).keys() == learned(models[1]).keys()


@by_half
@pytest.mark.parametrize("outer", HALVES)
def test_mixed_precision_around_it_changes_nothing(half: str, outer: str) -> None:
    model = halved(full("vpt_deep"), "vpt_deep", half).train()
    alone, inside = gradients(model), gradients_under(model, outer)
    assert all(torch.equal(inside[key], gradient) for key, gradient in alone.items())


@by_half
@pytest.mark.parametrize("name", ["vpt_deep", "gatevpt", "lora_everywhere"])
def test_gradient_checkpointing_changes_no_gradient_of_it(name: str, half: str) -> None:
    reference = full(name)
    plain, saving = (gradients(halved(reference, name, half, with_cp=on).train()) for on in (False, True))
    assert all(torch.equal(saving[key], gradient) for key, gradient in plain.items())


@by_half
def test_a_checkpoint_brings_the_same_bits_back(half: str) -> None:
    model = halved(full("e2vpt"), "e2vpt", half)
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    assert state["trunk.blocks.0.attn.qkv.weight"].dtype == getattr(torch, half)
    other = PromptedViT("vit_tiny_patch16_224", timm_kwargs=TINY, trunk_dtype=half, **CASES["e2vpt"].arguments)
    other.load_state_dict(state)
    for key, value in model.state_dict().items():
        assert other.state_dict()[key].dtype == value.dtype and torch.equal(other.state_dict()[key], value), key


@by_half
def test_a_checkpoint_of_either_type_loads_into_the_other(half: str) -> None:
    """Into half precision by rounding to nearest, and into float32 exactly."""
    reference = full("vpt_deep")
    state = halved(reference, "vpt_deep", half).state_dict()
    for key, value in reference.state_dict().items():
        assert torch.equal(state[key], value.to(state[key].dtype)), key
    reference.load_state_dict(state)
    assert all(torch.equal(reference.state_dict()[key], value.float()) for key, value in state.items())


@by_half
@by_method
def test_it_folds_as_a_float32_model_does(name: str, half: str) -> None:
    """What goes into weights is added in float32 and rounded once; what becomes keys and values stays bit for bit."""
    model = halved(full(name), name, half).eval()
    wide = PromptedViT("vit_tiny_patch16_224", timm_kwargs=TINY, **CASES[name].arguments)
    wide.load_state_dict(model.state_dict())
    before, twin = model(images().float()).maps[0], copy.deepcopy(model)
    weights = wide.fold().trunk.state_dict()
    for key, value in model.fold().trunk.state_dict().items():
        assert torch.equal(value, weights[key].to(value.dtype)), key
    after = model(images().float()).maps[0]
    assert after.dtype == torch.float32
    if all(torch.equal(value, twin.trunk.state_dict()[key]) for key, value in model.trunk.state_dict().items()):
        assert torch.equal(after, before)
    assert torch.cosine_similarity(after.flatten(), before.flatten(), dim=0) > 0.999
    other = PromptedViT("vit_tiny_patch16_224", timm_kwargs=TINY, trunk_dtype=half, **CASES[name].arguments).fold()
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(images().float()).maps[0], after)


@by_half
def test_averaged_weights_keep_what_is_frozen(half: str) -> None:
    model = halved(full("vpt_deep"), "vpt_deep", half)
    averaged = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9))
    for _ in range(3):
        averaged.update_parameters(model)
    for key, value in model.trunk.state_dict().items():
        assert torch.equal(averaged.module.trunk.state_dict()[key], value), key


def test_it_compiles_in_one_graph() -> None:
    model = halved(full("lora"), "lora", "bfloat16").train()
    expected = gradients(model)
    model.compile(backend="aot_eager", fullgraph=True)
    for key, gradient in gradients(model).items():
        torch.testing.assert_close(gradient, expected[key], rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("further", [dict(tuned=["blocks.*.norm1.weight"]), dict(frozen=False)])
def test_trained_parameters_of_the_trunk_are_refused(further: dict) -> None:
    with pytest.raises(InputError, match=r"trunk_dtype='bfloat16' is for a frozen trunk.*--amp"):
        tiny_vit(trunk_dtype="bfloat16", **further)


def test_offsets_on_biases_are_no_parameters_of_the_trunk() -> None:
    assert learned(halved(full("bias"), "bias", "bfloat16"))


def test_another_type_is_refused() -> None:
    with pytest.raises(InputError, match=r"trunk_dtype must be .*'bfloat16'.* got 'bf16'"):
        tiny_vit(trunk_dtype="bf16")


def test_tokens_stay_float32_from_block_to_block() -> None:
    """Also where nothing in float32 joins the patches: without class token and position embeddings."""
    model = PromptedViT(
        "vit_tiny_patch16_224",
        timm_kwargs=dict(TINY, class_token=False, global_pool="avg", pos_embed="none"),
        trunk_dtype="bfloat16",
    )
    embedded = model.embed(images().float())
    assert {embedded.tokens.dtype, *(tokens.dtype for tokens, _, _ in model.walk(embedded))} == {torch.float32}
