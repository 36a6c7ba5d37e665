"""Adapter folders: what a model adds to its trunk, written, sent, and loaded on the trunk that a colleague has."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from davpt_seg.core import AdapterSet, PromptedViT, load_adapter, save_adapter
from davpt_seg.core.adapter_folder.places import CARD, CONFIG, FILES, TENSORS
from davpt_seg.core.delta import frozen_names
from davpt_seg.errors import InputError

from .methods import METHODS, guided
from .test_methods import stir
from .tiny import TINY, tiny_vit

NAME = "vit_tiny_patch16_224"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A trunk's weights file."""
    path = tmp_path_factory.mktemp("trunk") / "vit.pth"
    torch.save(tiny_vit().float().trunk.state_dict(), path)
    return str(path)


def on(weights: Any, **arguments: Any) -> PromptedViT:
    """A model with learned values, on a trunk."""
    torch.manual_seed(0)
    model = PromptedViT(NAME, weights=weights, timm_kwargs=dict(TINY), **arguments)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def images() -> Tensor:
    return torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def outputs(model: PromptedViT) -> list[Tensor]:
    with torch.no_grad():
        found = model(images())
    return [value for value in (*found.maps, found.class_token, found.mean_token) if value is not None]


def assert_same(model: PromptedViT, other: PromptedViT) -> None:
    for one, two in zip(outputs(model), outputs(other)):
        assert torch.equal(one, two)


@pytest.mark.parametrize("name", METHODS)
def test_each_method_comes_back_bit_for_bit_on_the_file_and_on_a_shared_trunk(
    name: str, weights: str, tmp_path: Path
) -> None:
    model = on(weights, **METHODS[name].arguments)
    folder = save_adapter(model, tmp_path / "folder")
    assert sorted(path.name for path in folder.iterdir()) == sorted([CONFIG, TENSORS, CARD])
    assert len({path.stat().st_mode for path in folder.iterdir()}) == 1
    loaded = load_adapter(folder, trunk=weights)
    shared = load_adapter(folder, trunk=on(weights))
    for other in (loaded, shared):
        assert not other.training
        assert_same(model, other)
        assert model.state_dict().keys() - frozen_names(model) == other.state_dict().keys() - frozen_names(other)
    assert loaded.trunk.blocks[0].mlp.fc1.weight.data_ptr() != shared.trunk.blocks[0].mlp.fc1.weight.data_ptr()


MORE: dict[str, dict[str, Any]] = {
    "norms": dict(tuned=["blocks.*.norm1.weight", "norm.weight"], norm_maps=True),
    "all of the trunk": dict(frozen=False, outputs=("class_token",)),
    "two maps": dict(out_indices=(0, -1), outputs=("maps",), prompts=dict(num_prompts=2)),
    "a guided block after the last map": dict(
        out_indices=(0,), outputs=("maps",), prompts=dict(num_prompts=[1, 2]), guidance=dict(num_classes=3)
    ),
    "proxies": dict(guidance=dict(num_classes=3, num_prompts=2), tuned=["blocks.*.attn.qkv.bias"]),
    "a trunk in bfloat16": dict(outputs=("class_token",), trunk_dtype="bfloat16", prompts=dict(num_prompts=2)),
}


@pytest.mark.parametrize("name", MORE)
def test_other_models_come_back_too(name: str, weights: str, tmp_path: Path) -> None:
    model = on(weights, **MORE[name])
    assert_same(model, load_adapter(save_adapter(model, tmp_path / "folder"), trunk=weights))


def test_loading_on_a_shared_trunk_writes_nothing_to_it(weights: str, tmp_path: Path) -> None:
    trunk = on(weights)
    folder = save_adapter(on(weights, **METHODS["lora"].arguments), tmp_path / "folder")
    before = {name: (value.data_ptr(), value._version) for name, value in trunk.named_parameters()}
    load_adapter(folder, trunk=trunk)
    assert before == {name: (value.data_ptr(), value._version) for name, value in trunk.named_parameters()}


def test_a_model_whose_trunk_is_all_tuned_needs_no_trunk(weights: str, tmp_path: Path) -> None:
    model = on(weights, frozen=False, outputs=("class_token",))
    assert_same(model, load_adapter(save_adapter(model, tmp_path / "folder")))


def test_guidance_comes_back_where_it_was_asked_for_and_not_otherwise(weights: str, tmp_path: Path) -> None:
    model = on(weights, **guided(METHODS["vpt_deep"]).arguments)
    assert model.guidance is not None
    model.guidance.mapping.class_means.normal_()
    without = load_adapter(save_adapter(model, tmp_path / "without"), trunk=weights)
    assert without.guidance is None
    loaded = load_adapter(save_adapter(model, tmp_path / "with", mapping=True), trunk=weights)
    assert loaded.guidance is not None
    assert loaded.arguments == model.arguments
    assert torch.equal(loaded.guidance.mapping.class_means, model.guidance.mapping.class_means)
    for other in (without, loaded):
        assert_same(model, other)
    saved = [(tmp_path / name / TENSORS).stat().st_size for name in ("without", "with")]
    assert saved[0] < saved[1]


@pytest.mark.parametrize("method", [METHODS["lora"], guided(METHODS["vpt_deep"])], ids=["lora", "guided"])
def test_a_model_that_was_loaded_is_saved_again_as_the_same_folder(method: Any, weights: str, tmp_path: Path) -> None:
    first = save_adapter(on(weights, **method.arguments), tmp_path / "first")
    second = save_adapter(load_adapter(first, trunk=weights), tmp_path / "second")
    for name in (CONFIG, TENSORS, CARD):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_a_folder_is_loaded_in_a_fresh_process(weights: str, tmp_path: Path) -> None:
    model = on(weights, **METHODS["e2vpt"].arguments)
    folder = save_adapter(model, tmp_path / "folder")
    torch.save(images(), tmp_path / "images.pth")
    code = (
        "import sys, torch; from davpt_seg.core import load_adapter;"
        f"model = load_adapter({str(folder)!r}, trunk={weights!r});"
        f"images = torch.load({str(tmp_path / 'images.pth')!r});"
        f"torch.set_num_threads(1); torch.save(model(images).maps[0].detach(), {str(tmp_path / 'out.pth')!r});"
        "assert not any(name.startswith('mm') for name in sys.modules if name.split('.')[0] in ('mmengine', 'mmseg'))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
    assert torch.equal(torch.load(tmp_path / "out.pth"), outputs(model)[0])


def test_the_recorded_weights_file_is_found_next_to_the_folder(weights: str, tmp_path: Path) -> None:
    model = on(weights, prompts=dict(num_prompts=2))
    folder = save_adapter(model, tmp_path / "folder")
    with pytest.raises(InputError, match=r"needs the weights of the file 'vit\.pth'.*give trunk=FILE"):
        load_adapter(folder)
    (tmp_path / "vit.pth").write_bytes(Path(weights).read_bytes())
    assert_same(model, load_adapter(folder))
    (tmp_path / "vit.pth").unlink()
    (tmp_path / "vit.pth").symlink_to(weights)  # which may lead anywhere
    with pytest.raises(InputError, match="give trunk=FILE"):
        load_adapter(folder)
    with pytest.raises(InputError, match=r"adapter folder '.*vit\.pth' is not a folder; davpt-seg export"):
        load_adapter(weights)


def test_another_trunk_is_refused_by_name(weights: str, tmp_path: Path) -> None:
    folder = save_adapter(on(weights, prompts=dict(num_prompts=2)), tmp_path / "folder")
    other = torch.load(weights)
    other["blocks.0.mlp.fc1.bias"][0] += 1
    torch.save(other, tmp_path / "other.pth")
    for trunk in (str(tmp_path / "other.pth"), on(str(tmp_path / "other.pth"))):
        with pytest.raises(InputError, match=r"adapter folder '.*folder': .*the ViT here is another one"):
            load_adapter(folder, trunk=trunk)
    wrong_size = PromptedViT(NAME, timm_kwargs=dict(TINY, img_size=64))
    with pytest.raises(InputError, match=r"needs a ViT with timm_kwargs=.*'img_size': 32"):
        load_adapter(folder, trunk=wrong_size)
    with pytest.raises(InputError, match="got a Linear"):
        load_adapter(folder, trunk=torch.nn.Linear(2, 2))


def test_a_model_remembers_its_arguments_as_plain_values(weights: str) -> None:
    for method in METHODS.values():
        arguments = on(weights, **method.arguments).arguments
        assert json.loads(json.dumps(arguments)) == arguments
        assert not arguments.keys() & {"weights", "pretrained", "self"}
        again = PromptedViT(weights=weights, **arguments)
        assert again.arguments == arguments == copy.deepcopy(again).arguments


def test_what_cannot_be_saved_is_refused(weights: str, tmp_path: Path) -> None:
    refused: dict[str, Any] = {
        "folded": on(weights, **METHODS["lora"].arguments).fold(),
        "float64": stir(tiny_vit(prompts=dict(num_prompts=2))),
        "got a Linear": torch.nn.Linear(2, 2),
    }
    for message, model in refused.items():
        with pytest.raises(InputError, match=message):
            save_adapter(model, tmp_path / "folder")
    model = on(weights, prompts=dict(num_prompts=2))
    with torch.no_grad():
        model.prompts.values["0"][0, 0] = torch.nan  # type: ignore[union-attr]
    with pytest.raises(InputError, match=r"no training leaves: .*prompts\.values\.0 has 1 NaN"):
        save_adapter(model, tmp_path / "folder")
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError, match=r"holds other files \(notes\.txt\)"):
        save_adapter(on(weights), tmp_path)
    assert not (tmp_path / "folder").exists()


OTHERS: dict[str, dict[str, str]] = {
    "a README of the user": {"README.md": "my thesis"},
    "an adapter of peft": {"adapter_config.json": '{"peft_type": "LORA"}', "adapter_model.safetensors": "x"},
    "no JSON": {"adapter_config.json": "format", "README.md": "mine"},
    "a folder of that name": {"README.md/chapter.txt": "mine"},
}


@pytest.mark.parametrize("files", OTHERS.values(), ids=OTHERS)
def test_files_of_others_are_not_replaced_even_under_the_names_of_ours(
    files: dict[str, str], weights: str, tmp_path: Path
) -> None:
    for name, text in files.items():
        (tmp_path / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "folder" / name).write_text(text)
    with pytest.raises(InputError, match="name a new folder for the adapter"):
        save_adapter(on(weights), tmp_path / "folder")
    assert {name: (tmp_path / "folder" / name).read_text() for name in files} == files


@pytest.mark.parametrize("name", [".", "", "..", "new/.."])
def test_the_working_folder_is_not_replaced(
    name: str, weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here" / "new").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here" / "new" if name == ".." else tmp_path / "here")
    if name not in ("..", "new/.."):
        (tmp_path / "here" / "new").rmdir()
    with pytest.raises(InputError, match=r"working folder|holds other files"):
        save_adapter(on(weights), name)


def test_an_earlier_folder_is_replaced(weights: str, tmp_path: Path) -> None:
    save_adapter(on(weights, **METHODS["lora"].arguments), tmp_path / "folder")
    model = on(weights, prompts=dict(num_prompts=2))
    assert_same(model, load_adapter(save_adapter(model, tmp_path / "folder"), trunk=weights))
    assert set(FILES) > {path.name for path in (tmp_path / "folder").iterdir()}


def test_adapters_are_added_activated_and_removed_on_one_trunk(weights: str, tmp_path: Path) -> None:
    models = {name: on(weights, **METHODS[name].arguments) for name in ("vpt_deep", "lora", "ssf")}
    adapters = AdapterSet(on(weights))
    with pytest.raises(InputError, match="no adapter is active"):
        adapters(images())
    for name, model in models.items():
        adapters.add(name, save_adapter(model, tmp_path / name))
        assert_same(model, adapters.model)
    assert adapters.tasks == tuple(models)
    for name, model in models.items():
        adapters.activate(name)
        assert torch.equal(adapters(images()).class_token, model(images()).class_token)
    kept = adapters.model
    adapters.remove("ssf")
    assert adapters.tasks == ("vpt_deep", "lora") and adapters.model is None
    adapters.activate("lora")
    assert adapters.model.trunk.norm.weight.data_ptr() == kept.trunk.norm.weight.data_ptr()
    with pytest.raises(InputError, match="there is no adapter 'ssf'"):
        adapters.activate("ssf")
    with pytest.raises(InputError, match="is there already"):
        adapters.add("lora", tmp_path / "lora")
    with pytest.raises(InputError, match=r"AdapterSet takes a PromptedViT, got a str: AdapterSet\(PromptedViT\("):
        AdapterSet(weights)  # type: ignore[arg-type]


def test_a_newer_format_is_refused_with_advice(weights: str, tmp_path: Path) -> None:
    folder = save_adapter(on(weights), tmp_path / "folder")
    content = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps(dict(content, format=2)))
    with pytest.raises(InputError, match="has format 2, and this version of davpt-seg reads up to 1; install a newer"):
        load_adapter(folder, trunk=weights)
