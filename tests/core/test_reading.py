"""Every parameter that is said to learn has a gradient, whatever is read of the model."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from davpt_seg.core import PromptedViT
from davpt_seg.core.tuning import trained_table

from .methods import METHODS
from .tiny import TRAITS, tiny_vit

DEPTH = 3
METHODS_HERE: dict[str, dict[str, Any]] = {
    **{name: method.arguments for name, method in METHODS.items() if name != "linear"},
    "full": dict(frozen=False),
    "all biases": dict(tuned=["blocks.*.attn.qkv.bias", "blocks.*.mlp.fc2.bias", "patch_embed.proj.bias"]),
    "prompts, LoRA and norms": dict(
        prompts=dict(num_prompts=2), adapters=[dict(type="lora", rank=1)], tuned=["blocks.*.norm2.weight"]
    ),
}
WEIGHTS = [(0.1, 0.1), (0.0, 0.1), (0.1, 0.0), (0.0, 0.0)]


def draw(rng: random.Random, name: str) -> dict[str, Any]:
    """A model of a method that reads what chance says."""
    trait = rng.choice(["plain", "layerscale", "qk_norm", "registers", "no_class_token"])
    arguments = dict(METHODS_HERE[name], norm_maps=rng.random() < 0.3)
    arguments["outputs"] = rng.choice([["maps"], ["maps"], ["class_token"], ["mean_token"], ["mean_token", "maps"]])
    if trait == "no_class_token" and arguments["outputs"] == ["class_token"]:
        arguments["outputs"] = ["maps"]
    arguments["out_indices"] = rng.choice([[0], [0], [1], [0, 1], [-1], [0, 2]])
    if rng.random() < 0.7:
        arguments["guidance"] = guidance(rng, arguments.get("prompts"), trait != "no_class_token")
    carry = arguments.get("prompts", {}).get("carry")
    if carry == -1:  # of the last block, which must be read
        arguments["out_indices"] = [-1]
    return dict(arguments, timm_kwargs=dict(TRAITS[trait], depth=DEPTH))


def guidance(rng: random.Random, prompts: Any, has_class_token: bool) -> dict[str, Any]:
    weights = rng.choice(WEIGHTS)
    config: dict[str, Any] = dict(num_classes=5, patch_weight=weights[0], cls_weight=weights[1])
    config["image_token"] = rng.choice(["class", "mean"]) if has_class_token else "mean"
    config["token_side"] = rng.choice(["attn_output", "query", "key", "value", "input", "block_input"])
    config["cls_side"] = rng.choice(["attn_output", "query", "key", "value", "input", "block_input"])
    config["cls_proxies"] = rng.choice(["image", "prompt"])
    if prompts is None:
        return dict(config, num_prompts=2, blocks=rng.choice([[0], [1], [2], [0, 2]]))
    config["prompt_side"] = rng.choice(["query", "key", "value", "prompt"])
    if prompts.get("kind", "deep") != "deep":
        return dict(config, blocks=[0])
    return dict(config, blocks=[prompts["carry"]] if "carry" in prompts else rng.choice([[0], [1], [2], [0, 2]]))


def loss(model: PromptedViT) -> Tensor:
    """A loss on all outputs, and the metric losses."""
    images = torch.randn(2, 3, 24, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    features = model.train()(images)
    outputs = [*features.maps, features.class_token, features.mean_token]
    total = torch.stack([(output * output.detach().cos()).sum() for output in outputs if output is not None]).sum()
    if model.guidance:
        labels = (torch.arange(2 * 12).view(2, 3, 4) % 5).repeat_interleave(8, 1).repeat_interleave(8, 2)
        total = total + sum(model.guidance(features.records, labels).values())
    return total


def reached(model: nn.Module, value: Tensor) -> set[str]:
    """Names of parameters that a loss depends on, by autograd on real numbers."""
    named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    found = torch.autograd.grad(value, [parameter for _, parameter in named], allow_unused=True)
    return {name for (name, _), gradient in zip(named, found) if gradient is not None}


def learned(model: nn.Module) -> set[str]:
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


@pytest.mark.parametrize("name", METHODS_HERE)
def test_what_learns_is_what_reaches_a_loss(name: str) -> None:
    rng = random.Random(name)
    for _ in range(8):
        arguments = draw(rng, name)
        model = tiny_vit(**arguments)
        before = learned(model)
        assert before == reached(model, loss(model)), arguments
        count = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
        assert f"Trained parameters: {count:,} of" in trained_table(model)
        # And nothing was frozen that could have learned.
        own = {n for n, _ in model.named_parameters() if not n.startswith("trunk.")}
        for parameter_name, parameter in model.named_parameters():
            parameter.requires_grad_(parameter_name in own | before)
        assert reached(model, loss(model)) == before, arguments


def test_an_unread_block_is_not_run_and_has_no_prompts_and_adapters() -> None:
    adapters = [dict(type="lora", rank=1), dict(type="adapter", width=2), dict(type="key_value_prompts")]
    model = tiny_vit(
        outputs=["maps"],
        out_indices=[0],
        prompts=dict(num_prompts=2),
        adapters=adapters,
        tuned=["blocks.*.norm1.bias"],
        guidance=dict(num_classes=5, blocks=[1]),
        timm_kwargs=dict(depth=DEPTH),
    )
    ran = []
    for i, block in enumerate(model.trunk.blocks):
        block.norm1.register_forward_hook(lambda *_, i=i: ran.append(i))
    model.train()(torch.randn(1, 3, 32, 32, dtype=torch.float64))
    assert set(ran) == {0, 1}
    assert {name for name in learned(model) if ".2." in name or name.startswith("biases.offsets.2")} == set()
    assert model.prompts.counts == (2, 2, 0)
    assert not any("blocks_2" in name for name, _ in model.named_parameters())


@pytest.mark.parametrize("adapter", ["lora", "ssf", "adaptformer", "key_value_prompts"])
def test_a_model_without_its_unread_blocks_gives_the_same_maps_and_folds_the_same(adapter: str) -> None:
    def build(depth: int) -> PromptedViT:
        torch.manual_seed(0)
        return tiny_vit(
            outputs=["maps"],
            out_indices=[1],
            adapters=[dict(type=adapter)],
            prompts=dict(num_prompts=2),
            tuned=["blocks.*.attn.value_bias"],
            timm_kwargs=dict(depth=depth),
        )

    long, short = build(DEPTH), build(2)
    state = short.state_dict()
    long.load_state_dict({**long.state_dict(), **state})
    extra = {name for name in long.state_dict() if name not in state}
    assert all(name.startswith("trunk.blocks.2.") for name in extra)
    images = torch.randn(1, 3, 32, 32, dtype=torch.float64)
    expected = short.eval()(images).maps[0]
    assert torch.equal(long.eval()(images).maps[0], expected)
    torch.testing.assert_close(long.fold()(images).maps[0], expected, rtol=0, atol=1e-10)


def test_state_dict_names_of_models_whose_last_block_is_read_stay_as_they_were() -> None:
    adapters = [dict(type="ssf"), dict(type="adapter", width=2), dict(type="key_value_prompts")]
    arguments = dict(prompts=dict(num_prompts=2), adapters=adapters, timm_kwargs=dict(depth=2))
    all_read, maps = tiny_vit(**arguments), tiny_vit(**arguments, outputs=["maps"])
    assert all_read.state_dict().keys() == maps.state_dict().keys()
    assert "adapters.ssf.places.norm.scale" in maps.state_dict()
    assert learned(all_read) - learned(maps) == {f"adapters.ssf.places.norm.{part}" for part in ("scale", "shift")}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(prompts=dict(num_prompts=[2, 2, 1])), r"num_prompts \[2, 2, 1\]: block 1 reaches no output: .* is 0"),
        (dict(prompts=dict(num_prompts=2, carry=-1)), "prompts carry -1: block 2 reaches no output"),
        (dict(prompts=dict(num_prompts=2, carry=1)), "prompts carry 1: block 1 reaches no output"),
        (dict(tuned=["blocks.1.norm1.bias"]), "tuned name 'blocks.1.norm1.bias': block 1 reaches no output"),
        (dict(tuned=["blocks.2.attn.value_bias"]), "block 2 reaches no output"),
        (dict(tuned=["norm.weight"]), "tuned name 'norm.weight' reaches no output.*norm_maps=True"),
        (dict(outputs=[]), r"outputs must name at least one of \('class_token', 'mean_token', 'maps'\)"),
        (dict(outputs="maps"), r"outputs must be a list of any of .*, got 'maps'; write \['maps'\]"),
    ],
)
def test_what_is_asked_of_an_unread_block_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny_vit(**{"outputs": ["maps"], **arguments}, out_indices=[0], timm_kwargs=dict(depth=DEPTH))


@pytest.mark.parametrize("mode", ["no_grad", "inference_mode"])
def test_a_model_built_without_gradients_learns_the_same(mode: str) -> None:
    with getattr(torch, mode)():
        model = tiny_vit(prompts=dict(num_prompts=2))
    assert learned(model) == learned(tiny_vit(prompts=dict(num_prompts=2)))
