"""Zero-start prompts: at first the pre-trained ViT bit for bit, then their formula written out image by image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from davpt_seg.core import PromptedViT
from davpt_seg.core.prototypes import prototypes

from ..methods import adapter, bias, prompts
from ..test_methods import images, learned, stir
from ..tiny import TRAITS, tiny_vit

STARTS = ("offset", "gate")
KEY_VALUES = adapter(type="key_value_prompts", num_prompts=3)
BESIDE: dict[str, dict[str, Any]] = {
    "alone": {},
    "key-value prompts": KEY_VALUES,
    "lora": adapter(type="lora", rank=2, targets=["attn.qkv", "attn.proj"]),
    "ssf": adapter(type="ssf"),
    "biases": bias("key", "value"),
    "norms": dict(tuned=["blocks.*.norm1.weight", "blocks.*.norm1.bias"]),
}
by_start = pytest.mark.parametrize("start", STARTS)


def projected(model: PromptedViT, block: int, tokens: Tensor) -> list[Tensor]:
    """Queries, keys and values of normalised tokens (N, D) by the present projection, each (heads, N, head_dim)."""
    attn = model.trunk.blocks[block].attn
    qkv = attn.qkv(tokens)
    if model.biases(block) is not None:
        qkv = qkv + model.biases(block)
    query, key, value = (side.view(len(tokens), attn.num_heads, -1).transpose(0, 1) for side in qkv.chunk(3, dim=1))
    return [attn.q_norm(query), attn.k_norm(key), value]


def by_formula(model: PromptedViT, start: str, pixels: Tensor) -> Tensor:
    """The last map as METHOD.md section 10 writes it: image by image, block by block, with explicit softmaxes."""
    trunk, after = model.trunk, []
    extra = dict(model.adapters.items()).get("key_value_prompts")
    for tokens in model.embed(pixels).tokens:  # (N, D)
        for i, block in enumerate(trunk.blocks):
            attn, scale = block.attn, block.attn.scale
            query, key, value = projected(model, i, block.norm1(tokens))
            own = (scale * query @ key.transpose(1, 2)).softmax(dim=-1) @ value
            _, key_p, value_p = projected(model, i, block.norm1(model.prompts.values[str(i)]))
            if start == "offset":
                value_p = value_p - projected(model, i, block.norm1(model.prompts.initial(str(i))))[2]
            if extra is not None:
                key_e = value_e = extra.values[i].transpose(0, 1)  # (heads, n, head_dim)
                if start == "offset":
                    value_e = value_e - extra.initial(str(i)).transpose(0, 1)
                key_p, value_p = torch.cat([key_p, key_e], dim=1), torch.cat([value_p, value_e], dim=1)
            beside = (scale * query @ key_p.transpose(1, 2)).softmax(dim=-1) @ value_p
            if start == "gate":
                beside = beside * torch.tanh(model.prompts.head_gates[str(i)])[:, None, None]
            heads = attn.norm((own + beside).transpose(0, 1).flatten(1))
            tokens = tokens + block.ls1(attn.proj(heads))
            tokens = tokens + block.ls2(block.mlp(block.norm2(tokens)))
        after.append(tokens[trunk.num_prefix_tokens :])
    return torch.stack(after)


def weighted(tokens: Tensor) -> Tensor:
    return (tokens.flatten() * torch.linspace(-1, 1, tokens.numel(), dtype=tokens.dtype)).sum()


def padded(pixels: Tensor) -> Tensor:
    """Images whose sides the patch divides, so that maps hold every patch."""
    return torch.nn.functional.pad(pixels, (0, -pixels.shape[3] % 8, 0, -pixels.shape[2] % 8))


def built(start: str, beside: str = "alone", **further: Any) -> PromptedViT:
    torch.manual_seed(0)
    return tiny_vit(**{**prompts(4, start=start), **BESIDE[beside], **further})


@pytest.mark.parametrize("trait", TRAITS)
@pytest.mark.parametrize("beside", BESIDE)
@by_start
def test_outputs_and_gradients_are_those_of_the_formula(start: str, beside: str, trait: str) -> None:
    model = stir(built(start, beside, timm_kwargs=TRAITS[trait], outputs=("maps",))).train()
    pixels = padded(images())
    ours, expected = model(pixels).maps[0].flatten(2).transpose(1, 2), by_formula(model, start, pixels)
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-10)
    parameters = list(learned(model).values())
    for mine, formulas in zip(*(torch.autograd.grad(weighted(side), parameters) for side in (ours, expected))):
        torch.testing.assert_close(mine, formulas, rtol=1e-10, atol=1e-10)


def bare(**arguments: Any) -> PromptedViT:
    torch.manual_seed(0)
    return tiny_vit(**arguments)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("trait", TRAITS)
@by_start
def test_at_first_the_vit_is_the_pre_trained_one_bit_for_bit(start: str, trait: str, dtype: torch.dtype) -> None:
    model = built(start, timm_kwargs=TRAITS[trait]).to(dtype).train()
    pixels = padded(images()).to(dtype)
    timm_vit = bare(timm_kwargs=TRAITS[trait]).to(dtype).trunk
    (timms,) = timm_vit.forward_intermediates(pixels, indices=1, norm=False, intermediates_only=True)
    assert torch.equal(model(pixels).maps[0], timms)
    assert torch.equal(model.fold()(pixels).maps[0], timms)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("beside", BESIDE)
@by_start
def test_whatever_joins_it(start: str, beside: str, dtype: torch.dtype) -> None:
    model, plain = built(start, beside).to(dtype).train(), bare().to(dtype)
    assert torch.equal(model(images().to(dtype)).maps[0], plain(images().to(dtype)).maps[0])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("beside", BESIDE)
@by_start
def test_in_mixed_precision_too(start: str, beside: str, dtype: torch.dtype) -> None:
    model, plain = built(start, beside).float().train(), bare().float().train()
    with torch.autocast("cpu", dtype=dtype):
        ours, timms = model(images().float()), plain(images().float())
    assert torch.equal(ours.maps[0], timms.maps[0]) and torch.equal(ours.class_token, timms.class_token)


@by_start
def test_dropout_of_prompts_and_of_lora_leaves_the_start_as_it_is(start: str) -> None:
    lora = adapter(type="lora", rank=2, dropout=0.5)
    model = built(start, **{**prompts(4, start=start, dropout=0.5, norm="layer"), **lora}).train()
    assert torch.equal(model(images()).maps[0], bare()(images()).maps[0])


@pytest.mark.parametrize("norm", ["none", "l2", "layer"])
def test_what_prompts_and_initial_prompts_share_adds_nothing(norm: str) -> None:
    """With all but the prompts moved away from the start, equal prompts still have a difference of exactly zero."""
    config = dict(num_prompts=4, start="offset", dropout=0.5, norm=norm)
    model = stir(tiny_vit(prompts=config, **adapter(type="lora", rank=2, dropout=0.5), **bias("value"))).float().train()
    plain = bare(**adapter(type="lora", rank=2), **bias("value")).float().eval()
    plain.load_state_dict({k: v for k, v in model.state_dict().items() if not k.startswith("prompts")})
    model.prompts.keep_initial()
    model.adapters.eval()  # and LoRA's dropout would act on the tokens
    assert torch.equal(model(images().float()).maps[0], plain(images().float()).maps[0])
    model.prompts.values["0"].data.add_(0.1)
    assert not torch.equal(model(images().float()).maps[0], plain(images().float()).maps[0])


@pytest.mark.parametrize("beside", ["alone", "key-value prompts"])
def test_prompts_learn_from_the_first_step_behind_an_offset_and_from_the_second_behind_a_gate(beside: str) -> None:
    for start, at_first in (("offset", True), ("gate", False)):
        model = built(start, beside).train()
        optimizer = torch.optim.SGD(list(learned(model).values()), lr=1e-2)
        for step in (1, 2):
            optimizer.zero_grad()
            weighted(model(images()).maps[0]).backward()
            for name, parameter in learned(model).items():
                has_gradient = bool(parameter.grad.abs().max() > 0)
                assert has_gradient == (at_first or step == 2 or "head_gates" in name), (start, step, name)
            optimizer.step()


@pytest.mark.parametrize("beside", ["alone", "key-value prompts"])
@by_start
def test_a_compiled_model_is_the_same_in_one_graph(start: str, beside: str) -> None:
    torch.compiler.reset()
    model = stir(built(start, beside)).eval()
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(images()).maps[0], model(images()).maps[0], rtol=0, atol=1e-12)


def test_a_checkpoint_brings_the_initial_values_along() -> None:
    model = stir(built("offset", "key-value prompts"))
    torch.manual_seed(1)
    other = tiny_vit(**prompts(4, start="offset"), **KEY_VALUES)
    assert not torch.equal(other.prompts.initial("0"), model.prompts.initial("0"))
    other.load_state_dict(model.state_dict(), strict=True)
    assert torch.equal(other(images()).maps[0], model(images()).maps[0])
    assert torch.equal(other.prompts.initial("0"), model.prompts.initial("0"))


@by_start
@pytest.mark.parametrize("draw", [lambda m: m.prompts.reset_parameters((8, 8)), lambda m: prototypes(m, [images()])])
def test_other_initial_values_start_as_the_pre_trained_vit_too(draw: Callable[[Any], Any], start: str) -> None:
    model = stir(built(start))
    for gates in model.prompts.head_gates.values():
        gates.data.zero_()
    draw(model)
    assert torch.equal(model(images()).maps[0], bare()(images()).maps[0])


def test_what_is_learned_beside_pruned_prompts_is_their_difference() -> None:
    segments = ["1100", "0111"]
    model = built("offset", **prompts(2, start="offset", segments=segments))
    assert torch.equal(model(images()).maps[0], bare()(images()).maps[0])
    stir(model)
    whole = built("offset", **prompts(2, start="offset"))
    for block in ("0", "1"):
        whole.prompts.values[block].data.copy_(model.prompts(int(block)))
        whole.prompts.initial(block).copy_(model.prompts.entering(int(block))[1])
    torch.testing.assert_close(whole(images()).maps[0], model(images()).maps[0], rtol=0, atol=1e-12)


def test_a_block_without_prompts_is_left_as_it_is() -> None:
    model = stir(built("offset", **prompts([0, 3], start="offset"), out_indices=(0, 1)))
    plain = bare(out_indices=(0, 1))
    assert torch.equal(model(images()).maps[0], plain(images()).maps[0])
    assert not torch.equal(model(images()).maps[1], plain(images()).maps[1])


def test_joint_prompts_draw_the_same_values_as_zero_start_ones() -> None:
    joint = built("joint")
    for start in STARTS:
        assert torch.equal(built(start).prompts.values["1"], joint.prompts.values["1"])


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (dict(start="zero"), r"start must be one of \('joint', 'offset', 'gate'\), got 'zero'"),
        (
            dict(start="offset", kind="shallow"),
            "start='offset' and kind='shallow' exclude each other: prompts that stay",
        ),
        (dict(start="gate", kind="gated"), "start='gate' and kind='gated' exclude each other"),
        (dict(start="offset", carry=0), "start='offset' and carry=0 exclude each other"),
        (dict(start="gate", carry=-1), "start='gate' and carry=-1 exclude each other"),
    ],
)
def test_prompts_that_cannot_start_at_zero_are_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny_vit(prompts=dict(num_prompts=4, **config))


def test_key_value_prompts_without_a_gate_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"share the gates of a block's prompts, .* got \(0, 4\); or set start='offset'"
    ):
        tiny_vit(**prompts([0, 4], start="gate"), **KEY_VALUES)
    tiny_vit(**prompts([0, 4], start="offset"), **KEY_VALUES)
