"""Tasks that come and go, what a bank refuses, and what a task takes."""

from __future__ import annotations

import copy
import gc
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from davpt_seg.core import Features, PromptedViT
from davpt_seg.core.adapters.base import Joined
from davpt_seg.core.task_bank import TaskBank
from davpt_seg.errors import InputError

from ..int8 import fake_torchao  # noqa: F401  (a fixture)
from ..methods import METHODS
from ..test_methods import stir
from ..tiny import TINY, tiny_vit
from .banks import Tasks, check_features, images


def two() -> Tasks:
    tasks = Tasks()
    tasks.add("street", prompts=dict(num_prompts=3))
    tasks.add("crops", prompts=dict(num_prompts=2, start="offset"), adapters=[dict(type="lora", rank=2)])
    return tasks


def test_each_head_gets_the_features_of_its_tasks_images() -> None:
    tasks = two()
    head = nn.Sequential(nn.Linear(32, 5), nn.Dropout(0.9)).double()
    tasks.add("types", lambda features: head(features.class_token), prompts=dict(num_prompts=2))
    tasks.add("areas", nn.Identity(), adapters=[dict(type="ssf")])
    head.eval()
    batch, names = images(5), ["types", "street", "types", "areas", "street"]
    outputs = tasks.bank(batch, names)
    assert list(outputs) == ["types", "street", "areas"]
    assert {name: output.rows for name, output in outputs.items()} == {"types": (0, 2), "street": (1, 4), "areas": (3,)}
    for name, (rows, features, output) in outputs.items():
        with torch.no_grad():
            own = tasks.models[name](batch[list(rows)])
        check_features(features, own, name)
        if name == "types":
            torch.testing.assert_close(output, head(own.class_token).detach(), rtol=0, atol=1e-10)
        else:
            assert output is (features if name == "areas" else None)


def test_a_head_that_is_a_module_predicts() -> None:
    class Head(nn.Module):
        def forward(self, features: Features) -> Any:
            return self.training, torch.is_grad_enabled()

    tasks = Tasks()
    tasks.add("street", Head())
    assert tasks.bank(images(1), ["street"])["street"].output == (False, False)


def test_tasks_are_removed_and_added_again() -> None:
    tasks = two()
    tasks.add("ssf", adapters=[dict(type="ssf")])
    assert tasks.bank.tasks == ("street", "crops", "ssf")
    tasks.bank.remove("crops")
    assert tasks.bank.tasks == ("street", "ssf")
    tasks.check(["ssf", "street"])
    with pytest.raises(InputError, match=r"task 'crops' is not in the bank; known: street, ssf"):
        tasks.bank.features(images(1), ["crops"])
    tasks.add("crops", adapters=[dict(type="lora", rank=5)])  # another one
    tasks.check(["ssf", "crops", "street", "crops"])
    for name in tasks.bank.tasks:
        tasks.bank.remove(name)
    assert tasks.bank.tasks == () and tasks.bank.features(images(0), []) == [] and tasks.bank(images(0), []) == {}


def test_a_task_stays_as_it_was_when_its_model_changes_or_is_folded() -> None:
    tasks = two()
    batch = images(2)
    before = tasks.bank.features(batch, ["crops", "street"])
    stir(tasks.models["street"])
    tasks.models["crops"].fold()
    for found, own in zip(tasks.bank.features(batch, ["crops", "street"]), before):
        check_features(found, own, "", atol=0)


@pytest.mark.parametrize("name", METHODS)
def test_a_model_stays_as_it_was_when_it_is_added(name: str) -> None:
    tasks = Tasks()
    model = tasks.model(**METHODS[name].arguments)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    learned = [key for key, parameter in model.named_parameters() if parameter.requires_grad]
    bare = tasks.bank.model(images(2)).maps[0]
    for mode in (True, False):
        tasks.bank.add(f"{mode}", model.train(mode))
        assert model.training == mode
    (found, _) = tasks.bank.features(images(2), ["True", "False"])
    assert not found.maps[0].requires_grad
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert learned == [key for key, parameter in model.named_parameters() if parameter.requires_grad]
    assert torch.equal(tasks.bank.model(images(2)).maps[0], bare)  # of the trunk's owner


def test_dropout_of_a_model_in_training_mode_plays_no_role() -> None:
    tasks = Tasks()
    arguments = dict(prompts=dict(num_prompts=3, dropout=0.5), adapters=[dict(type="lora", rank=2, dropout=0.5)])
    tasks.models["street"] = tasks.model(**arguments)
    tasks.bank.add("street", tasks.models["street"].train())
    tasks.models["street"].eval()
    tasks.check(["street", "street"])


def test_a_task_keeps_no_module_of_its_model() -> None:
    tasks = Tasks()
    for name, method in METHODS.items():
        tasks.add(name, **method.arguments)
    left = [weakref.ref(module) for model in tasks.models.values() for module in model.modules()]
    tasks.models.clear()
    gc.collect()
    assert not [found for reference in left if (found := reference()) is not None]
    assert tasks.bank.features(images(2), ["lora", "adapter"])


def test_threads_take_turns() -> None:
    tasks = two()
    batch = images(2)
    expected = {order: tasks.bank.features(batch, list(order)) for order in (("street", "crops"), ("crops", "street"))}
    wrong: list[str] = []

    def ask(order: tuple[str, str]) -> None:
        for _ in range(10):
            for found, own in zip(tasks.bank.features(batch, list(order)), expected[order]):
                if not torch.equal(found.maps[0], own.maps[0]):
                    wrong.append(str(order))

    threads = [threading.Thread(target=ask, args=(order,)) for order in expected for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


# What a task takes.


@pytest.mark.parametrize("name", METHODS)
def test_the_bytes_of_a_task_are_those_of_what_its_model_adds_to_the_trunk_folded(name: str) -> None:
    tasks = Tasks()
    tasks.add("street", **METHODS[name].arguments)
    folded = copy.deepcopy(tasks.models["street"])
    ours = {"lora": folded.adapters, "ssf": folded.adapters, "lora_everywhere": folded.adapters, "bias": folded.biases}
    if name in ours:  # which fold() puts into the trunk's weights
        expected = sum(parameter.numel() for parameter in ours[name].parameters()) * 8
        if name == "bias":  # with zeros for the queries'
            expected = expected * 3 // 2
    else:
        state = folded.fold().state_dict()
        expected = sum(value.numel() * 8 for key, value in state.items() if not key.startswith("trunk."))
    assert tasks.bank.bytes_of("street") == expected


def test_the_bytes_of_a_head_count() -> None:
    tasks = two()
    head = nn.BatchNorm1d(7)
    tasks.add("with head", head)
    assert tasks.bank.bytes_of("with head") == 4 * 4 * 7 + 8
    with pytest.raises(InputError, match="task 'streets' is not in the bank; did you mean 'street'"):
        tasks.bank.bytes_of("streets")


def resident() -> int:
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="needs Linux's /proc")
def test_the_memory_of_the_process_grows_by_no_more_than_the_tasks_bytes() -> None:
    tasks = Tasks()
    model = tasks.model(prompts=dict(num_prompts=500))
    tasks.bank.add("warm-up", model)
    gc.collect()
    before = resident()
    for i in range(100):
        tasks.bank.add(f"task {i}", model)
    stated = sum(tasks.bank.bytes_of(f"task {i}") for i in range(100))
    assert stated == 100 * 2 * 2 * 500 * 32 * 8  # keys and values, of two blocks: 51 MB
    assert resident() - before < 1.3 * stated  # less where earlier tests left memory to use again


# What is refused, and what is not.


def test_a_model_with_a_trunk_of_equal_weights_is_taken() -> None:
    owner = tiny_vit()
    tasks = Tasks()
    tasks.bank = TaskBank(owner)
    model = on_a_copy(
        owner, prompts=dict(num_prompts=2), trunk_mode="train", drop_path_rate=0.1, timm_kwargs=dict(proj_drop_rate=0.1)
    )
    assert model.trunk.pos_embed.data_ptr() != owner.trunk.pos_embed.data_ptr()
    with torch.no_grad():
        model.trunk.pos_embed.mul_(1 + 1e-15)  # resampled on another machine
    tasks.models["street"] = stir(model).eval()
    tasks.bank.add("street", model)
    tasks.check(["street", "street"])
    assert tasks.bank.bytes_of("street") == 2 * 2 * 2 * 32 * 8 + model.trunk.pos_embed.numel() * 8


def wrong_weights(owner: PromptedViT) -> PromptedViT:
    model = on_a_copy(owner, prompts=dict(num_prompts=2))
    with torch.no_grad():
        model.trunk.blocks[1].mlp.fc2.bias[3] += 1e-9
    return model


def on_a_copy(owner: PromptedViT, **arguments: Any) -> PromptedViT:
    model = tiny_vit(**arguments)
    model.trunk.load_state_dict(owner.trunk.state_dict())
    return model


WRONG: dict[str, tuple[Callable[[PromptedViT], Any], str]] = {
    "other weights": (
        wrong_weights,
        r"task 'x': the model's frozen ViT is another one than the bank's.*weights=bank\.model",
    ),
    "another number of heads": (
        lambda owner: tiny_vit(timm_kwargs=dict(num_heads=2)),
        r"task 'x': the model's ViT is built otherwise.*blocks\.0\.attn\.num_heads 2, the bank's 4.*timm_kwargs",
    ),
    "another image size": (
        lambda owner: tiny_vit(timm_kwargs=dict(img_size=64)),
        r"pos_embed \(1, 65, 32\), the bank's",
    ),
    "another depth": (lambda owner: tiny_vit(timm_kwargs=dict(depth=1)), r"blocks\.1\.norm1\.weight None"),
    "folded": (
        lambda owner: tiny_vit(prompts=dict(num_prompts=2)).fold(),
        "task 'x': the model is folded.*before fold",
    ),
    "no prompted ViT": (lambda owner: nn.Linear(2, 2), r"takes prompted ViTs \(PromptedViT\), got a Linear"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_model_that_does_not_fit_is_refused_and_nothing_is_added(wrong: str) -> None:
    owner = tiny_vit()
    bank = TaskBank(owner)
    make, message = WRONG[wrong]
    with pytest.raises(InputError, match=message):
        bank.add("x", make(owner))
    assert bank.tasks == ()


def test_names_and_heads_that_do_not_fit_are_refused() -> None:
    tasks = two()
    model = tasks.models["street"]
    with pytest.raises(InputError, match="task 'street' is in the bank already: remove it first"):
        tasks.bank.add("street", model)
    with pytest.raises(InputError, match="a task's name must be a text, got 3"):
        tasks.bank.add(3, model)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="head of task 'x' must be callable or None, got a int"):
        tasks.bank.add("x", model, 3)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="task 'stret' is not in the bank; did you mean 'street'"):
        tasks.bank.remove("stret")
    assert tasks.bank.tasks == ("street", "crops")


@pytest.mark.parametrize(
    ("number", "names"),
    [(1, ["street", "crops"]), (2, ["street"]), (6, "street"), (1, [])],
    ids=["more names", "fewer names", "a string", "no name"],
)
def test_each_image_needs_one_name(number: int, names: Any) -> None:
    with pytest.raises(
        InputError, match=rf"takes images \(B, 3, H, W\) and a list of B names.*\({number}, 3, 24, 37\)"
    ):
        two().bank(images(number), names)


def test_images_of_another_shape_are_refused() -> None:
    with pytest.raises(InputError, match=r"got \(3, 24, 37\) and \['street'"):
        two().bank.features(images(1)[0], ["street"] * 3)
    with pytest.raises(InputError, match=r"got list and \['street'"):
        two().bank.features([[1.0]], ["street"])  # type: ignore[arg-type]


def test_a_bank_needs_the_pre_trained_weights() -> None:
    with pytest.raises(InputError, match=r"tunes its ViT are not the pre-trained ones \(norm\.weight\)"):
        TaskBank(tiny_vit(tuned=["norm.weight"], norm_maps=True))
    with pytest.raises(InputError, match="folded PromptedViT"):
        TaskBank(tiny_vit().fold())
    with pytest.raises(InputError, match="got a Linear"):
        TaskBank(nn.Linear(2, 2))  # type: ignore[arg-type]


def test_a_model_that_still_waits_for_its_weights_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    owner = tiny_vit()
    bank = TaskBank(owner)
    monkeypatch.setattr(PromptedViT, "has_weights", False)
    for refused in (lambda: TaskBank(owner), lambda: bank.add("x", owner)):
        with pytest.raises(InputError, match="weights were not read yet, so it cannot join a task bank"):
            refused()


def test_an_adapter_that_a_bank_does_not_know_is_refused() -> None:
    class Doubled(Joined):
        def forward(self, entering: torch.Tensor, leaving: torch.Tensor) -> torch.Tensor:
            return 2 * leaving

    tasks = Tasks()
    for where, kind in (("trunk", "adapter of type Doubled"), ("ffn", "change of an FFN of type Doubled")):
        model = tasks.model(adapters=[dict(type="adapter", width=2)])
        if where == "trunk":
            Doubled().join(model.trunk.blocks[0].norm1)
        else:
            model.adapters["adapter"].blocks[1] = Doubled()
        with pytest.raises(InputError, match=f"task 'x': a task bank knows .* and no {kind}"):
            tasks.bank.add("x", model)


def test_prompts_and_adapters_of_the_trunks_owner_play_no_role() -> None:
    tasks = Tasks(prompts=dict(num_prompts=2), adapters=[dict(type="lora", rank=2)])
    stir(tasks.bank.model)
    tasks.add("bare")
    tasks.add("prompts", prompts=dict(num_prompts=3))
    tasks.check(["bare", "prompts"])


def test_what_the_owner_of_the_trunk_loads_later_does_not_change_the_bank() -> None:
    tasks = two()
    batch = images(2)
    before = tasks.bank.features(batch, ["crops", "street"])
    owner = tasks.bank.model
    owner.load_state_dict({name: value + 1 for name, value in owner.state_dict().items()})
    for found, own in zip(tasks.bank.features(batch, ["crops", "street"]), before):
        check_features(found, own, "", atol=0)


def test_int8_weights_are_compared_by_the_fingerprint_of_the_float_ones(fake_torchao: None) -> None:  # noqa: F811
    plain = tiny_vit(prompts=dict(num_prompts=2)).float()
    arguments = dict(weights=plain, timm_kwargs=TINY, trunk_quantization="int8")
    bank = TaskBank(PromptedViT("vit_tiny_patch16_224", **arguments))
    own = PromptedViT("vit_tiny_patch16_224", prompts=dict(num_prompts=2), **arguments).eval()
    bank.add("int8", own)
    bank.add("float", plain)
    (found, _) = bank.features(images(2).float(), ["int8", "float"])
    with torch.no_grad():
        check_features(found, own(images(2).float()[:1]), "int8", atol=1e-5)
    tuned = on_a_copy(plain, tuned=["blocks.0.attn.proj.weight"]).float()
    with pytest.raises(InputError, match=r"tunes blocks\.0\.attn\.proj\.weight, which this bank stores in int8"):
        bank.add("tuned", stir(tuned))
