"""The backbone reads the trunk's weights when training starts, and never without need."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import timm
import torch
from mmengine.model import BaseModule
from mmengine.runner import load_checkpoint
from safetensors.torch import save_file

from davpt_seg.errors import InputError
from davpt_seg.models import PromptedViTBackbone

TINY = dict(img_size=28, patch_size=14, embed_dim=16, num_heads=2, depth=2)
NAME = "vit_tiny_patch16_224"
IMAGES = torch.zeros(1, 3, 28, 28)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("weights") / "vit.safetensors"
    torch.manual_seed(7)
    save_file(timm.create_model(NAME, num_classes=0, **TINY).state_dict(), path)
    return str(path)


def backbone(weights: str) -> PromptedViTBackbone:
    return PromptedViTBackbone(NAME, weights=weights, prompts=dict(num_prompts=2), timm_kwargs=TINY)


class Segmentor(BaseModule):
    """A model of MMEngine's with the backbone inside and something random after it, as mmseg's have."""

    def __init__(self, weights: str) -> None:
        super().__init__()
        self.backbone = backbone(weights)
        self.head = torch.nn.Linear(4, 4)

    def init_weights(self) -> None:
        super().init_weights()
        torch.nn.init.normal_(self.head.weight)


def test_mmengines_init_weights_reads_the_file(weights: str) -> None:
    model = Segmentor(weights)
    model.init_weights()
    expected = timm.create_model(NAME, num_classes=0, checkpoint_path=weights, **TINY).state_dict()
    state = model.backbone.trunk.state_dict()
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[name], tensor) for name, tensor in expected.items())
    assert not any(p.requires_grad for p in model.backbone.trunk.parameters())


def test_reading_weights_leaves_the_random_numbers_of_what_follows_alone(weights: str) -> None:
    heads = []
    for read in (True, False):
        torch.manual_seed(0)
        model = Segmentor(weights)
        model.backbone._awaits_weights = read
        model.init_weights()
        heads.append(model.head.weight)
    assert torch.equal(*heads)


def test_a_missing_weights_file_matters_only_to_training() -> None:
    model = backbone("/nowhere/vit.safetensors")
    with pytest.raises(InputError, match=r"weights file ./nowhere/vit\.safetensors. does not exist"):
        model.init_weights()


def test_a_forward_pass_on_weights_never_read_is_refused(weights: str) -> None:
    model = backbone(weights)
    with pytest.raises(RuntimeError, match=r"the ViT still has random weights: call init_weights\(\)"):
        model(IMAGES)
    model.init_weights()
    assert model(IMAGES)[0].shape == (1, 16, 2, 2)


def test_a_model_whose_weights_were_never_read_is_not_folded(weights: str) -> None:
    """The weights would replace what was folded into the ViT."""
    model = PromptedViTBackbone(NAME, weights=weights, adapters=[dict(type="lora", rank=2)], timm_kwargs=TINY)
    with pytest.raises(InputError, match=r"fold\(\) needs the ViT's weights, .* call init_weights\(\)"):
        model.fold()
    model.init_weights()
    before = model.eval()(IMAGES)[-1]
    torch.testing.assert_close(model.fold()(IMAGES)[-1], before)


def test_a_guided_model_is_copied_after_a_step_whose_records_nothing_took(weights: str) -> None:
    guided = dict(prompts=dict(num_prompts=3), guidance=dict(num_classes=3, blocks=[1]))
    model = PromptedViTBackbone(NAME, weights=weights, timm_kwargs=TINY, **guided)
    model.init_weights()
    model.train()(IMAGES)
    copied = copy.deepcopy(model)
    assert model.take_records() and not copied.take_records()


def test_a_loaded_checkpoint_is_kept_and_its_file_not_missed(weights: str) -> None:
    source = backbone(weights)
    source.init_weights()
    model = backbone("/nowhere/vit.safetensors")
    model.load_state_dict(source.state_dict())
    model.init_weights()
    assert torch.equal(model(IMAGES)[0], source(IMAGES)[0])


def test_prompts_alone_are_no_weights(weights: str) -> None:
    model = backbone(weights)
    prompts = {name: value for name, value in model.state_dict().items() if name.startswith("prompts")}
    model.load_state_dict(prompts, strict=False)
    with pytest.raises(RuntimeError, match="still has random weights"):
        model(IMAGES)


def test_two_sources_are_refused_at_construction(weights: str) -> None:
    with pytest.raises(ValueError, match="are two sources of weights"):
        PromptedViTBackbone(NAME, weights=weights, pretrained=True, timm_kwargs=TINY)


def with_lora(weights: str) -> PromptedViTBackbone:
    adapters = [dict(type="lora", rank=2)]
    return PromptedViTBackbone(NAME, weights=weights, adapters=adapters, timm_kwargs=TINY)


def test_weights_are_read_beneath_lora_which_stays_what_it_was(weights: str) -> None:
    model = with_lora(weights)
    before = {name: value.clone() for name, value in model.state_dict().items() if "lora_" in name}
    model.init_weights()
    expected = timm.create_model(NAME, num_classes=0, checkpoint_path=weights, **TINY).state_dict()
    state = model.trunk.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in expected.items())
    assert len(before) == 4
    assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items())


def test_mmengine_loads_a_checkpoint_of_lora(weights: str, tmp_path: Path) -> None:
    model = with_lora(weights)
    model.init_weights()
    for parameter in model.parameters():
        parameter.data.add_(0.1)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / "lora.pth")
    other = with_lora("/nowhere/vit.safetensors")
    load_checkpoint(other, str(tmp_path / "lora.pth"), strict=True)
    other.init_weights()
    assert torch.equal(model(IMAGES)[0], other(IMAGES)[0])


def test_lora_alone_is_no_weights(weights: str) -> None:
    model = with_lora(weights)
    lora = {name: value for name, value in model.state_dict().items() if "lora_" in name}
    model.load_state_dict(lora, strict=False)
    with pytest.raises(RuntimeError, match="still has random weights"):
        model(IMAGES)


@pytest.mark.parametrize(("out_type", "run"), [("featmap", 1), ("cls_token", 3), ("avg_featmap", 3)])
def test_what_the_out_type_does_not_read_neither_runs_nor_learns(out_type: str, run: int) -> None:
    model = PromptedViTBackbone(
        NAME,
        out_type=out_type,
        out_indices=[0],
        prompts=dict(num_prompts=2),
        frozen=False,
        timm_kwargs=dict(TINY, depth=3),
    ).train()
    torch.stack([(output * output.detach()).sum() for output in model(torch.randn(2, 3, 28, 28))]).sum().backward()
    assert sum(count > 0 for count in model.prompts.counts) == run
    with_gradient = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert with_gradient == {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert ("trunk.norm.weight" in with_gradient) is (out_type != "featmap")


def test_outputs_is_set_by_out_type() -> None:
    with pytest.raises(ValueError, match="backbone PromptedViT has no argument 'outputs'"):
        PromptedViTBackbone(NAME, outputs=["maps"], timm_kwargs=TINY)
