"""What a model adds to its trunk, saved without the trunk and put together again."""

from __future__ import annotations

import copy
import dataclasses
import json
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from davpt_seg.core import PromptedViT
from davpt_seg.core.delta import Origin, frozen_names, record_of, without_frozen
from davpt_seg.core.record import RECORD, Record, Source, is_without_trunk, records_in
from davpt_seg.errors import InputError

from .methods import METHODS
from .test_methods import stir
from .tiny import TINY, tiny_vit


def saved(model: nn.Module, prefix: str = "") -> dict[str, Any]:
    state = {prefix + name: value.clone() for name, value in model.state_dict().items()}
    without_frozen(model, state, prefix)
    return state


def images(number: int = 2) -> Tensor:
    return torch.randn(number, 3, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(number))


@pytest.mark.parametrize("name", METHODS)
def test_each_method_saved_without_its_trunk_gives_equal_outputs_on_the_same_trunk(name: str) -> None:
    model = tiny_vit(**METHODS[name].arguments)
    other = copy.deepcopy(model)
    state = saved(stir(model))
    assert not any(n.startswith("trunk.") for n in state)
    other.load_state_dict(state)
    assert torch.equal(other.eval()(images()).maps[0], model.eval()(images()).maps[0])


@pytest.mark.parametrize("name", METHODS)
def test_what_is_saved_and_the_trunk_are_all_of_the_model(name: str) -> None:
    model = tiny_vit(**METHODS[name].arguments)
    assert frozen_names(model) <= model.state_dict().keys()
    assert not frozen_names(model) & {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def test_parameters_of_the_trunk_that_are_trained_are_saved_even_after_they_were_frozen() -> None:
    model = tiny_vit(tuned=["blocks.*.norm1.weight"])
    model.trunk.cls_token.requires_grad_(True)  # which no argument says
    names = {"trunk.blocks.0.norm1.weight", "trunk.blocks.1.norm1.weight"}
    assert {n for n in saved(model) if n.startswith("trunk.")} == {*names, "trunk.cls_token"}
    model.requires_grad_(False)  # as MMEngine's averaged models are
    assert {n for n in saved(model) if n.startswith("trunk.")} == names


def test_a_model_whose_trunk_is_all_trained_is_saved_with_it() -> None:
    model = tiny_vit(frozen=False, outputs=("class_token",))
    assert not is_without_trunk(saved(model)) and set(saved(model)) == set(model.state_dict())


def test_a_segmentor_and_its_average_are_saved_by_prefix() -> None:
    segmentor = nn.ModuleDict({"backbone": tiny_vit(prompts=dict(num_prompts=2)), "head": nn.Linear(2, 2)})
    assert set(records_in(saved(segmentor))) == {"backbone."}
    state = saved(segmentor, "module.")
    assert set(records_in(state)) == {"module.backbone."}
    assert {n for n in state if "head" in n} == {"module.head.weight", "module.head.bias"}


@pytest.mark.parametrize("name", ["blocks.1.mlp.fc2.weight", "cls_token", "norm.bias"])
def test_one_changed_digit_of_the_trunk_is_another_trunk(name: str) -> None:
    model = tiny_vit(prompts=dict(num_prompts=2))
    other, state = copy.deepcopy(model), saved(model)
    with torch.no_grad():
        other.trunk.get_parameter(name).view(-1)[-1] *= 1 + 1e-15
    before = copy.deepcopy(other.state_dict())
    with pytest.raises(
        ValueError, match=r"needs the weights of a ViT whose source is unknown.*the ViT here is another"
    ):
        other.load_state_dict(state)
    assert all(torch.equal(before[n], value) for n, value in other.state_dict().items())


def test_positions_are_not_part_of_the_fingerprint_for_they_are_resampled() -> None:
    model = tiny_vit()
    before = record_of(model).fingerprint
    with torch.no_grad():
        model.trunk.pos_embed.add_(1e-9)
    assert record_of(model).fingerprint == before


def test_a_fingerprint_is_that_of_the_float_weights_whatever_they_are_stored_in() -> None:
    plain = tiny_vit(prompts=dict(num_prompts=2)).float()
    half = PromptedViT("vit_tiny_patch16_224", timm_kwargs=TINY, prompts=dict(num_prompts=2), weights=plain)
    stored = PromptedViT(
        "vit_tiny_patch16_224", timm_kwargs=TINY, prompts=dict(num_prompts=2), weights=plain, trunk_dtype="bfloat16"
    )
    assert stored.trunk.blocks[0].mlp.fc1.weight.dtype == torch.bfloat16
    assert record_of(plain) == record_of(half) == record_of(stored) == record_of(copy.deepcopy(stored))
    stored.load_state_dict(saved(plain))  # on the trunk that it has
    complete = stored.state_dict()
    stored.load_state_dict(complete)  # what it has: still those float32 weights, rounded
    assert record_of(stored) == record_of(plain)
    complete["trunk.blocks.0.mlp.fc1.weight"] = complete["trunk.blocks.0.mlp.fc1.weight"] + 1
    stored.load_state_dict(complete)  # of bfloat16 weights: another trunk, for all that is known
    assert record_of(stored) != record_of(plain)


SETS: dict[str, dict[str, Any]] = {
    "prompts": dict(prompts=dict(num_prompts=2)),
    "norms": dict(tuned=["blocks.*.norm1.weight"]),
    "everything": dict(frozen=False, outputs=("class_token", "maps")),
}


@pytest.mark.parametrize("last", SETS)
@pytest.mark.parametrize("first", ["prompts", "norms"])
def test_a_model_that_tunes_another_part_of_its_trunk_starts_from_what_was_saved(first: str, last: str) -> None:
    """Linear probing and then fine-tuning, for instance."""
    model = tiny_vit(**SETS[first])
    trunk = copy.deepcopy(model.trunk.state_dict())
    state = saved(stir(model))
    other = tiny_vit(**SETS[last])
    other.trunk.load_state_dict(trunk)
    other.load_state_dict(state, strict=False)
    assert all(torch.equal(value, other.trunk.state_dict()[n]) for n, value in model.trunk.state_dict().items())


@pytest.mark.parametrize("name", ["blocks.1.mlp.fc2.weight", "pos_embed"])
def test_the_source_is_that_of_the_weights_and_is_forgotten_where_others_are_loaded(name: str, tmp_path: Any) -> None:
    path = tmp_path / "vit.pth"
    torch.save(tiny_vit().float().trunk.state_dict(), path)
    model = PromptedViT("vit_tiny_patch16_224", weights=str(path), timm_kwargs=TINY)
    before = record_of(model)
    complete = {n: value.clone() for n, value in model.state_dict().items()}
    model.load_state_dict(complete)
    assert record_of(model) == before
    complete[f"trunk.{name}"] += 0.1
    model.load_state_dict(complete)
    assert record_of(model).source is None


def test_a_checkpoint_without_its_trunk_is_no_file_of_a_trunk(tmp_path: Any) -> None:
    segmentor = nn.ModuleDict({"backbone": tiny_vit(prompts=dict(num_prompts=2))})
    torch.save(dict(state_dict=saved(segmentor)), tmp_path / "epoch_1.pth")
    with pytest.raises(ValueError, match=r"epoch_1\.pth' is a checkpoint that was saved without its frozen ViT"):
        PromptedViT("vit_tiny_patch16_224", weights=str(tmp_path / "epoch_1.pth"), timm_kwargs=TINY)


def test_the_source_is_the_files_name_and_format(tmp_path: Any) -> None:
    path = tmp_path / "vit.pth"
    torch.save(tiny_vit().float().trunk.state_dict(), path)
    model = PromptedViT("vit_tiny_patch16_224", weights=str(path), timm_kwargs=TINY)
    assert record_of(model).source == Source("vit_tiny_patch16_224", "vit.pth", "timm")
    assert "file 'vit.pth' (format timm) for model_name='vit_tiny_patch16_224'" in str(record_of(model))


def test_a_folded_model_has_no_frozen_trunk() -> None:
    with pytest.raises(ValueError, match="save it before fold"):
        record_of(tiny_vit(adapters=[dict(type="lora")]).fold())


WRONG: dict[str, Any] = {
    "no tensor": "x",
    "floats": torch.zeros(3),
    "no text": torch.tensor([255, 254], dtype=torch.uint8),
    "a matrix": torch.zeros(2, 2, dtype=torch.uint8),
    "too long": torch.full((2**16 + 1,), 32, dtype=torch.uint8),
    **{
        repr(content): torch.frombuffer(bytearray(content.encode()), dtype=torch.uint8)
        for content in (
            *("{", "[]", "{}", "[" * 60000, json.dumps("x")),
            *(json.dumps({"fingerprint": value}) for value in (3, "", "\x1b[2J", "é")),
        )
    },
    **{
        f"source {source}": torch.frombuffer(
            bytearray(json.dumps({"fingerprint": "0", "source": source}).encode()), dtype=torch.uint8
        )
        for source in (
            3,
            {},
            {"model_name": 3},
            {"model_name": "x", "path": "/"},
            {"model_name": "x", "format": "\x1b[2J"},
        )
    },
}


@pytest.mark.parametrize("name", WRONG, ids=lambda name: name[:30])
def test_a_damaged_record_is_refused(name: str) -> None:
    model = tiny_vit(prompts=dict(num_prompts=2))
    state = saved(model)
    state[RECORD] = WRONG[name]
    with pytest.raises(ValueError, match="'frozen_trunk' of a state dict must describe"):
        model.load_state_dict(state)


def test_a_record_reads_back_as_it_was_written() -> None:
    for record in (Record("ab"), Record("ab", Source("vit", "a.pth", "MAE", "model"))):
        assert Record.decode(record.encode()) == record == Record.of(dataclasses.asdict(record))


def half(weights: Any) -> PromptedViT:
    arguments: dict[str, Any] = dict(timm_kwargs=TINY, prompts=dict(num_prompts=2), trunk_dtype="bfloat16")
    return PromptedViT("vit_tiny_patch16_224", weights=weights, **arguments)


def test_a_half_precision_trunk_that_got_other_weights_by_hand_is_another_trunk() -> None:
    plain = tiny_vit(prompts=dict(num_prompts=2)).float()
    other, stored = copy.deepcopy(plain.trunk.state_dict()), half(plain)
    other["blocks.0.mlp.fc1.weight"].add_(1)
    stored.trunk.load_state_dict(other)
    with pytest.raises(InputError, match="the ViT here is another"):
        stored.load_state_dict(saved(plain))


def test_a_half_precision_trunk_that_is_shared_is_still_that_of_its_float_weights() -> None:
    plain = tiny_vit(prompts=dict(num_prompts=2)).float()
    shared = half(half(plain))
    assert record_of(shared) == record_of(plain)
    shared.load_state_dict(saved(plain))


def test_tuned_parameters_make_another_trunk_of_one_that_is_frozen_and_leave_a_shared_one_alone() -> None:
    """A checkpoint of fine-tuning, loaded to train prompts: a checkpoint without that trunk could not be read again."""
    bare = tiny_vit()
    tuned = tiny_vit(tuned=["blocks.*.norm1.weight"], weights=None)
    tuned.trunk.load_state_dict(bare.trunk.state_dict())
    state, before = saved(stir(tuned)), copy.deepcopy(bare.trunk.state_dict())
    bare.trunk.origin = Origin(Source("vit_tiny_patch16_224", "vit.pth"))  # type: ignore[assignment]
    model = PromptedViT("vit_tiny_patch16_224", timm_kwargs=TINY, prompts=dict(num_prompts=2), weights=bare).double()
    model.load_state_dict(state, strict=False)
    assert record_of(model).source is None and record_of(bare).source is not None
    assert torch.equal(model.trunk.blocks[0].norm1.weight, tuned.trunk.blocks[0].norm1.weight)
    assert all(torch.equal(before[name], value) for name, value in bare.trunk.state_dict().items())
