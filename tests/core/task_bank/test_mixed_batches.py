"""A batch of images of different tasks, against each task's own model."""

from __future__ import annotations

import random
from itertools import combinations, permutations
from typing import Any

import pytest
import torch

from davpt_seg.core import PromptedViT
from davpt_seg.core.task_bank import TaskBank
from davpt_seg.errors import InputError

from ..methods import METHODS, PAIRS
from ..tiny import TRAITS
from .banks import Tasks, check_features, images

TRUNKS = [
    *TRAITS,
    "vit gated, with inner norms",
    "eva02 apart",
    "dinov3 with biases",
    "rope mixed",
    "beit",
    "beit with shared biases",
    "post-norm",
    "parallel scaling",
    "parallel things with norms",
]
#: Refused by trunks with RMS norms, or with layers of other names.
NOT_ON_EACH = {"ssf", "lora", "lora_everywhere"}


def of_methods(trunk: str = "plain") -> Tasks:
    tasks = Tasks(trunk)
    for name, method in METHODS.items():
        try:
            tasks.model(**method.arguments)
        except InputError:
            assert trunk not in TRAITS and name in NOT_ON_EACH
            continue
        tasks.add(name, **method.arguments)
    return tasks


@pytest.fixture(scope="module")
def plain() -> Tasks:
    return of_methods()


@pytest.mark.parametrize("trunk", TRUNKS)
def test_all_methods_in_one_batch_equal_their_own_models_on_every_kind_of_trunk(trunk: str) -> None:
    tasks = of_methods(trunk)
    names = list(tasks.models)
    tasks.check(names)
    maps = torch.cat([found.maps[0] for found in tasks.bank.features(images(1).repeat(len(names), 1, 1, 1), names)])
    different = [one for one, other in combinations(range(len(names)), 2) if torch.equal(maps[one], maps[other])]
    assert not different


@pytest.mark.parametrize("name", METHODS)
def test_a_method_alone_and_beside_each_other_equals_its_own_model(plain: Tasks, name: str) -> None:
    plain.check([name])
    plain.check([name, name, name])
    for other in METHODS:
        plain.check([name, other, name])


def test_methods_that_are_joined_in_one_model_equal_it() -> None:
    tasks = Tasks()
    for name in random.Random(0).sample(sorted(PAIRS), 24):
        tasks.add(name, **PAIRS[name].arguments)
    tasks.check(list(tasks.models))


def test_the_order_of_a_batch_plays_no_role(plain: Tasks) -> None:
    names = ["vpt_deep", "carried_last", "ssf", "zero_gate"]
    for order in permutations(range(4)):
        plain.check([names[place] for place in order], images(4)[list(order)])


def test_any_batch_of_any_tasks_equals_their_own_models(plain: Tasks) -> None:
    draw = random.Random(0)
    for _ in range(20):
        plain.check(draw.choices(list(METHODS), k=draw.randint(1, 9)))


MANY: dict[str, dict[str, Any]] = {
    "none": {},
    "one": dict(prompts=dict(num_prompts=1)),
    "seven": dict(prompts=dict(num_prompts=7)),
    "in the second block": dict(prompts=dict(num_prompts=[0, 3])),
    "zero start, two": dict(prompts=dict(num_prompts=2, start="offset")),
    "zero start, five": dict(prompts=dict(num_prompts=5, start="gate")),
    "zero start in the first block": dict(prompts=dict(num_prompts=[3, 0], start="offset")),
    "shallow, three": dict(prompts=dict(num_prompts=3, kind="shallow")),
    "shallow, five": dict(prompts=dict(num_prompts=5, kind="shallow")),
    "gated, three": dict(prompts=dict(num_prompts=3, kind="gated")),
    "gated, five": dict(prompts=dict(num_prompts=5, kind="gated")),
    "persistent from the last block, three": dict(prompts=dict(num_prompts=[5, 3], carry=1)),
    "persistent, averaged": dict(prompts=dict(num_prompts=3, carry=0), pool_prompts=True),
    "rank 1": dict(adapters=[dict(type="lora", rank=1)]),
    "rank 5": dict(adapters=[dict(type="lora", rank=5, alpha=2.5, targets=["attn.proj", "mlp.fc1"])]),
    "narrow": dict(adapters=[dict(type="adapter", width=2)]),
    "wide": dict(adapters=[dict(type="adapter", width=9)]),
    "narrow, parallel": dict(adapters=[dict(type="adaptformer", width=3, scale=0.5)]),
    "wide, parallel": dict(adapters=[dict(type="adaptformer", width=7)]),
}


@pytest.mark.parametrize("trunk", ["plain", "beit", "rope mixed"])
def test_different_numbers_of_prompts_and_sizes_of_adapters_mix(trunk: str) -> None:
    tasks, draw = Tasks(trunk), random.Random(0)
    for name, arguments in MANY.items():
        tasks.add(name, **arguments)
    tasks.check(list(MANY))
    for _ in range(12):
        tasks.check(draw.sample(sorted(MANY), 3))


READ: dict[str, dict[str, Any]] = {
    "all": {},
    "class token": dict(outputs=["class_token"]),
    "mean token": dict(outputs=["mean_token"], prompts=dict(num_prompts=2)),
    "maps": dict(outputs=["maps"], prompts=dict(num_prompts=2)),
    "maps of the first block": dict(outputs=["maps"], out_indices=[0], prompts=dict(num_prompts=2)),
    "maps of both, the last first": dict(out_indices=[1, 0], adapters=[dict(type="ssf")]),
    "normalised": dict(norm_maps=True, out_indices=[0, 1]),
    "normalised by another norm": dict(norm_maps=True, tuned=["norm.weight", "norm.bias"]),
    "normalised, scaled": dict(norm_maps=True, outputs=["maps"], adapters=[dict(type="ssf")]),
    "another norm": dict(tuned=["norm.bias"], prompts=dict(num_prompts=2)),
}


@pytest.mark.parametrize("trunk", ["plain", "no_class_token", "dinov2 with registers"])
def test_different_outputs_mix(trunk: str) -> None:
    tasks = Tasks(trunk)
    for name, arguments in READ.items():
        if trunk != "no_class_token" or not {"class_token", "norm.bias"} & {
            *arguments.get("outputs", []),
            *arguments.get("tuned", []),
        }:
            tasks.add(name, **arguments)
    tasks.check(list(tasks.models))
    for name in tasks.models:
        tasks.check([name, "all", name])


TUNED: dict[str, tuple[str, dict[str, Any]]] = {
    "norms": ("plain", dict(tuned=["blocks.*.norm1.weight", "blocks.0.norm2.bias"])),
    "weights of the last block": ("plain", dict(tuned=["blocks.1.attn.qkv.weight", "blocks.1.mlp.fc2.bias"])),
    "class token": ("plain", dict(tuned=["cls_token"], prompts=dict(num_prompts=2))),
    "positions": ("plain", dict(tuned=["pos_embed"], adapters=[dict(type="lora")])),
    "patch embedding": ("plain", dict(tuned=["patch_embed.proj.weight"], prompts=dict(num_prompts=2, carry=0))),
    "layer scale": ("layerscale", dict(tuned=["blocks.*.ls1.gamma"])),
    "registers": ("registers", dict(tuned=["reg_token"])),
    "all": ("plain", dict(frozen=False)),
    "table of relative positions": ("beit", dict(tuned=["blocks.1.attn.relative_position_bias_table"])),
    "shared table": ("beit with shared biases", dict(tuned=["rel_pos_bias.relative_position_bias_table"])),
    "biases beside qkv": ("beit", dict(tuned=["blocks.*.attn.q_bias", "cls_token"], prompts=dict(num_prompts=2))),
    "rotations": ("rope mixed", dict(tuned=["rope.freqs"])),
    "class token beside rotations": ("rope mixed", dict(tuned=["cls_token"])),
}


@pytest.mark.parametrize("name", TUNED)
def test_tasks_that_tuned_the_trunk_mix_with_others(name: str) -> None:
    trunk, arguments = TUNED[name]
    tasks = Tasks(trunk)
    tasks.add("tuned", **arguments)
    tasks.add("tuned otherwise", **arguments)
    tasks.add("prompts", prompts=dict(num_prompts=3))
    tasks.add("shallow", prompts=dict(num_prompts=2, kind="shallow"))
    tasks.check(["prompts", "tuned", "shallow", "tuned otherwise", "tuned", "prompts"])
    tasks.check(["tuned"])


def test_blocks_before_the_first_tuned_one_run_once() -> None:
    tasks = Tasks()
    for i in range(3):
        tasks.add(f"tuned {i}", tuned=["blocks.1.norm1.weight"])
    sizes: list[list[int]] = [[], []]
    for block, found in zip(tasks.bank._walk.trunk.blocks, sizes):
        block.norm1.register_forward_hook(lambda _, inputs, __, found=found: found.append(len(inputs[0])))
    tasks.check(["tuned 0", "tuned 1", "tuned 2", "tuned 1"])
    assert sizes == [[4], [1, 2, 1]]


def test_more_keys_than_a_kernel_takes_at_once_are_masked_all_the_same() -> None:
    tasks = Tasks()
    for number in (1, 9, 600):
        tasks.add(f"{number}", prompts=dict(num_prompts=number))
        tasks.add(f"{number} beside", prompts=dict(num_prompts=number, start="offset"))
    tasks.check(list(tasks.models), images(6, (192, 176)))


def test_a_trunk_in_half_precision_computes_as_the_tasks_own_models_do() -> None:
    owner = PromptedViT("vit_tiny_patch16_224", timm_kwargs=dict(depth=2), trunk_dtype="bfloat16")
    bank, models = TaskBank(owner), {}
    for name, method in METHODS.items():
        if "tuned" in method.arguments and name != "bias":
            continue
        models[name] = PromptedViT(
            "vit_tiny_patch16_224", weights=owner, timm_kwargs=dict(depth=2), trunk_dtype="bfloat16", **method.arguments
        ).eval()
        bank.add(name, models[name])
    names, batch = list(models), torch.randn(len(models), 3, 64, 64)
    for row, (name, found) in enumerate(zip(names, bank.features(batch, names))):
        with torch.no_grad():
            own = models[name](batch[row : row + 1])
        assert found.maps[0].dtype == own.maps[0].dtype
        check_features(found, own, name, atol=0.01)


def test_under_autocast_a_bank_computes_as_the_tasks_own_models_do(plain: Tasks) -> None:
    names = list(METHODS)
    with torch.autocast("cpu", torch.bfloat16):
        found = plain.bank.features(images(len(names)), names)
        own = plain.expected(images(len(names)), names)
    for name, ours, theirs in zip(names, found, own):
        assert ours.maps[0].dtype == theirs.maps[0].dtype
        check_features(ours, theirs, name, atol=0.05)
