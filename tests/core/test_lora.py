"""LoRA against peft, put into a copy of the same trunk with the same A and B; and checkpoints of peft's layout."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from davpt_seg.core import PromptedViT

from .methods import EVERYWHERE
from .peft_lora import drop_in_training, gradients, inject, old_state, peft_layers, take_updates, updates
from .test_methods import images, stir
from .tiny import TRAITS, tiny_vit

CONFIGS: dict[str, dict[str, Any]] = {
    "qkv": dict(rank=2),
    "proj": dict(rank=3, alpha=6.0, targets=["attn.proj"]),
    "fc1": dict(rank=1, alpha=0.5, targets=["mlp.fc1"]),
    "fc2": dict(rank=40, alpha=8.0, targets=["mlp.fc2"]),  # a rank above the width
    "all": dict(rank=3, alpha=6.0, targets=EVERYWHERE[::-1]),
    "dropout": dict(rank=2, dropout=0.3, targets=EVERYWHERE),
}


def pair(config: dict[str, Any], **further: Any) -> tuple[PromptedViT, PromptedViT]:
    """The same model with our LoRA and with peft's."""
    torch.manual_seed(0)
    ours = stir(tiny_vit(adapters=[dict(type="lora", **config)], **further)).train()
    theirs = tiny_vit(**further)
    bare = {name: value for name, value in ours.state_dict().items() if "lora_" not in name}
    theirs.load_state_dict(bare)
    inject(theirs, **config).double().train()
    drop_in_training(theirs)
    take_updates(theirs, ours)
    return ours, theirs


def same(model: PromptedViT, pixels: Tensor) -> tuple[Tensor, list[Tensor]]:
    """A model's maps and the gradients of A, B and all else that learns, under one seed."""
    torch.manual_seed(3)
    found = model(pixels).maps[0]
    weights = torch.linspace(-1, 1, found.numel(), dtype=found.dtype)
    others = [p for n, p in model.named_parameters() if p.requires_grad and "lora_" not in n]
    return found.detach(), gradients((found.flatten() * weights).sum(), [*updates(model), *others])


@pytest.mark.parametrize("trait", TRAITS)
@pytest.mark.parametrize("name", CONFIGS)
def test_outputs_and_gradients_equal_those_of_peft(name: str, trait: str) -> None:
    ours, theirs = (same(model, images()) for model in pair(CONFIGS[name], timm_kwargs=TRAITS[trait]))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)
    assert all(gradient.abs().max() > 1e-6 for gradient in ours[1])


@pytest.mark.parametrize("prompts", [dict(), dict(start="offset"), dict(start="gate"), dict(kind="gated")], ids=str)
@pytest.mark.parametrize("name", ["qkv", "all", "dropout"])
def test_projections_of_prompts_are_those_of_peft_too(name: str, prompts: dict[str, Any]) -> None:
    models = pair(CONFIGS[name], prompts=dict(num_prompts=4, **prompts), tuned=["blocks.*.norm1.weight"])
    ours, theirs = (same(model, images()) for model in models)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", CONFIGS)
def test_in_mixed_precision_outputs_and_gradients_equal_those_of_peft_bit_for_bit(
    name: str, dtype: torch.dtype
) -> None:
    models = [model.float() for model in pair(CONFIGS[name])]
    with torch.autocast("cpu", dtype=dtype):
        ours, theirs = (same(model, images().float()) for model in models)
    assert torch.equal(ours[0], theirs[0])
    assert all(torch.equal(mine, other) for mine, other in zip(ours[1], theirs[1]))


def test_gradient_checkpointing_keeps_the_outputs_and_gradients_of_dropout() -> None:
    model, _ = pair(CONFIGS["dropout"])
    plain = same(model, images())
    model.with_cp = True
    torch.testing.assert_close(same(model, images()), plain, rtol=0, atol=1e-12)


def test_updates_start_as_those_of_peft() -> None:
    """A within the same bounds, spread alike; B at zero. The same seed draws other values."""
    torch.manual_seed(0)
    timm_kwargs = dict(embed_dim=128)
    ours = tiny_vit(adapters=[dict(type="lora", rank=64, targets=EVERYWHERE)], timm_kwargs=timm_kwargs)
    theirs = inject(tiny_vit(timm_kwargs=timm_kwargs), rank=64, targets=EVERYWHERE)
    for mine, other in zip(updates(ours), updates(theirs), strict=True):
        assert mine.shape == other.shape and mine.requires_grad
        torch.testing.assert_close(mine.abs().max().float(), other.abs().max().float(), rtol=0.01, atol=0)
        torch.testing.assert_close(mine.std().float(), other.std().float(), rtol=0.03, atol=0)


def test_a_target_named_twice_is_updated_once_and_unread_blocks_are_not() -> None:
    targets = ["attn.qkv", "attn.qkv"]
    model = tiny_vit(adapters=[dict(type="lora", rank=2, targets=targets)], outputs=["maps"], out_indices=[0])
    assert [name for name, _ in model.adapters.named_parameters()] == [
        *("lora.layers.blocks_0_attn_qkv.lora_A", "lora.layers.blocks_0_attn_qkv.lora_B")
    ]
    stir(model)
    theirs = tiny_vit(outputs=["maps"], out_indices=[0])
    theirs.trunk.load_state_dict(model.trunk.state_dict())
    inject(theirs, rank=2, depth=1).double()
    take_updates(theirs, model)
    torch.testing.assert_close(model(images()).maps[0], theirs(images()).maps[0], rtol=0, atol=1e-10)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_an_update_that_is_not_finite_is_not_folded_and_no_weight_is_changed(value: float) -> None:
    model = stir(tiny_vit(adapters=[dict(type="lora", targets=EVERYWHERE)]))
    model.adapters["lora"].layers["blocks_1_mlp_fc2"].lora_B.data[3, 1] = value
    before = copy.deepcopy(model.trunk.state_dict())
    with pytest.raises(ValueError, match=r"update of blocks_1_mlp_fc2 holds NaN or infinite values"):
        model.fold()
    assert all(torch.equal(before[name], tensor) for name, tensor in model.trunk.state_dict().items())


class Segmentor(nn.Module):
    def __init__(self, backbone: PromptedViT) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(32, 3)


@pytest.mark.parametrize("within", [False, True], ids=["alone", "in a segmentor"])
def test_a_checkpoint_of_pefts_layout_loads_strictly(within: bool) -> None:
    model, theirs = pair(CONFIGS["all"], prompts=dict(num_prompts=4), tuned=["blocks.*.attn.qkv.bias"])
    model, theirs = (Segmentor(each) if within else each for each in (model, theirs))
    state = old_state(theirs)
    expected = copy.deepcopy(model.state_dict() | {k: v for k, v in state.items() if k.startswith("head")})
    assert f"{'backbone.' * within}trunk.blocks.0.attn.qkv.lora_A.default.weight" in state
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    model.load_state_dict(state, strict=True)
    assert all(torch.equal(expected[name], value) for name, value in model.state_dict().items())
    assert any("lora_A.default" in name for name in state)  # the caller's own dict stays as it is


def test_a_checkpoint_of_pefts_layout_is_refused_by_a_model_without_lora() -> None:
    _, theirs = pair(CONFIGS["qkv"])
    with pytest.raises(RuntimeError, match=r"Unexpected key.*blocks_0_attn_qkv\.lora_A"):
        tiny_vit().load_state_dict(old_state(theirs))


def test_peft_wraps_what_it_is_told_to() -> None:
    """The oracle is one."""
    _, theirs = pair(CONFIGS["all"])
    assert len(peft_layers(theirs)) == 8
