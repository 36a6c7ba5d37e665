"""Models leave Python: exported for any number of images, and folded ones are the same in every mode."""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from davpt_seg.core import PromptedViT

from .blocks.families import family_vit
from .methods import METHODS, adapter, prompts
from .test_methods import stir
from .tiny import TRAITS, tiny_vit


class Outputs(nn.Module):
    """A model's outputs as one tuple of tensors."""

    def __init__(self, model: PromptedViT) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        features = self.model(images)
        return tuple(out for out in (*features.maps, features.class_token, features.mean_token) if out is not None)


def images(number: int, size: tuple[int, int] = (32, 32)) -> Tensor:
    return torch.randn(number, 3, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(number))


def assert_exports_with_any_batch(model: PromptedViT, any_size: bool = False) -> None:
    """Export at two images, run at three and at one, compare with eager; where asked, at sizes that are no multiples
    of a patch, and at the trunk's own."""
    with torch.no_grad():  # an exported timm ViT resamples positions in float32, whatever the size
        if model.trunk.pos_embed is not None:
            model.trunk.pos_embed.copy_(model.trunk.pos_embed.float())
    wrapped = Outputs(model.eval())
    dims = {0: torch.export.Dim("batch", min=1, max=64)}
    sizes = [(32, 32)] * 3
    if any_size:
        dims.update({2: torch.export.Dim("height", min=16, max=512), 3: torch.export.Dim("width", min=16, max=512)})
        sizes = [(43, 61), (21, 90), (32, 32)]
    exported = torch.export.export(wrapped, (images(2, sizes[0]),), dynamic_shapes=(dims,), strict=False).module()
    for number, size in zip((3, 1), sizes[1:]):
        for got, expected in zip(exported(images(number, size)), wrapped(images(number, size))):
            torch.testing.assert_close(got, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", METHODS)
def test_each_method_exports_with_a_dynamic_batch_and_folded_for_any_size(name: str) -> None:
    model = stir(tiny_vit(**METHODS[name].arguments))
    assert_exports_with_any_batch(model)
    assert_exports_with_any_batch(model.fold(), any_size=True)


@pytest.mark.filterwarnings("ignore")  # of the exporter, which is being replaced by one that needs onnxscript
@pytest.mark.parametrize("name", METHODS)
def test_each_method_runs_in_onnx_with_any_batch_before_and_after_folding(name: str) -> None:
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    model = stir(tiny_vit(**METHODS[name].arguments)).float().eval()
    for wrapped in (Outputs(model), Outputs(copy.deepcopy(model).fold())):
        file = io.BytesIO()
        axes = {"images": {0: "batch"}}
        torch.onnx.export(wrapped, (images(2).float(),), file, dynamo=False, input_names=["images"], dynamic_axes=axes)
        session = runtime.InferenceSession(file.getvalue())
        for number in (3, 1):
            found = session.run(None, {"images": images(number).float().numpy()})
            for got, expected in zip(found, wrapped(images(number).float())):
                torch.testing.assert_close(torch.from_numpy(got), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("trait", [trait for trait in TRAITS if trait != "plain"])
def test_each_kind_of_trunk_exports_with_a_dynamic_batch_and_size(trait: str) -> None:
    model = tiny_vit(prompts=dict(num_prompts=2, carry=0), timm_kwargs=TRAITS[trait])
    assert_exports_with_any_batch(model, any_size=True)


@pytest.mark.parametrize("family", ["dinov2 with registers", "eva02", "rope axial", "rope mixed", "parallel things"])
def test_other_families_export_with_a_dynamic_batch_and_size(family: str) -> None:
    assert_exports_with_any_batch(family_vit(family, prompts=dict(num_prompts=2)), any_size=True)


RANDOM: dict[str, dict[str, Any]] = {
    "adaptformer": adapter(type="adaptformer", width=8, dropout=0.5),
    "lora": adapter(type="lora", rank=2, dropout=0.5),
    "deep prompts": prompts(4, dropout=0.5),
    "prompts in the sequence": prompts(4, kind="shallow", dropout=0.5),
    "drop path": dict(trunk_mode="train", drop_path_rate=0.5, timm_kwargs=dict(depth=4)),
    "dropout of the trunk": dict(
        trunk_mode="train", timm_kwargs=dict(pos_drop_rate=0.5, proj_drop_rate=0.5, attn_drop_rate=0.5)
    ),
}


@pytest.mark.parametrize("name", [*METHODS, *RANDOM])
def test_a_folded_model_gives_the_same_outputs_in_every_mode(name: str) -> None:
    arguments = RANDOM[name] if name in RANDOM else METHODS[name].arguments
    model = stir(tiny_vit(**arguments))
    for folded in (copy.deepcopy(model).fold(), model.train().fold()):
        expected = Outputs(folded)(images(2))
        for parent in (folded.train(), nn.Sequential(Outputs(folded)).train()[0].model, folded.eval()):
            for got, before in zip(Outputs(parent)(images(2)), expected):
                assert torch.equal(got, before)


@pytest.mark.parametrize("name", RANDOM)
def test_the_models_above_do_draw_random_numbers_before_they_are_folded(name: str) -> None:
    model = stir(tiny_vit(**RANDOM[name])).train()
    assert not torch.equal(model(images(2)).maps[0], model(images(2)).maps[0])
