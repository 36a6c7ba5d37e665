"""A deployed model is the model: the same scores as its own test's, from the same images."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from mmengine.model import BaseModel
from torch import Tensor

from davpt_seg.apis.predictor import Predictor
from davpt_seg.errors import InputError
from davpt_seg.export.comparison import TOLERANCES, Difference, DiffersError, cases, difference, require_equal
from davpt_seg.export.deployed import deployed
from davpt_seg.export.exportable import in_float32

from ..checkpoints import Trained
from ..core.int8 import fake_torchao  # noqa: F401
from ..core.methods import adapter, prompts
from .models import classifier, segmentor

SIZES = [(37, 50), (40, 24)]  # one of incomplete patches, one of complete ones
BGR = dict(data_preprocessor__bgr_to_rgb=False)
PADDED = dict(data_preprocessor__test_cfg=dict(size_divisor=32))
AT_LEAST = dict(data_preprocessor__test_cfg=dict(size=(48, 48)))
MODELS: dict[str, tuple[Any, dict[str, Any]]] = {
    "linear": (segmentor, {}),
    "prompts": (segmentor, dict(backbone=prompts(3))),
    "BGR": (segmentor, BGR),
    "no normalisation": (segmentor, dict(data_preprocessor__mean=None)),
    "padded by the preprocessor": (segmentor, PADDED),
    "padded to a size": (segmentor, AT_LEAST),
    "one logit": (segmentor, dict(classes=1)),
    "UPerNet": (segmentor, dict(head="upernet", backbone=adapter(type="adaptformer", width=4))),
    "SETR-PUP": (segmentor, dict(head="setr_pup", backbone=adapter(type="ssf"))),
    "classifier": (classifier, dict(backbone=prompts(3))),
    "classifier, padded": (classifier, dict(data_preprocessor__pad_size_divisor=32)),
    "classifier of BGR": (classifier, dict(data_preprocessor__to_rgb=False)),
}


def found(model: BaseModel, output: str, half: bool = False) -> Difference:
    run = deployed(model, output, half)
    threshold = model.decode_head.threshold if getattr(model, "decode_head", None) else None
    return difference(run, cases(model, SIZES, torch.float32), output, threshold if output_is_single(model) else None)


def output_is_single(model: BaseModel) -> bool:
    return getattr(getattr(model, "decode_head", None), "out_channels", None) == 1


@pytest.mark.parametrize("name", MODELS)
def test_logits_and_labels_are_those_of_the_models_own_test(name: str) -> None:
    build, arguments = MODELS[name]
    model = build(**arguments)
    logits, labels = found(model, "logits"), found(model, "labels")
    assert logits.largest <= 1e-5 * logits.scale
    assert labels.largest <= 1e-5 * labels.scale and labels.labels is not None and labels.labels < 1e-3


@pytest.mark.parametrize("build", [segmentor, classifier])
def test_in_float16_they_are_so_but_for_rounding(build: Any) -> None:
    half = found(build(backbone=prompts(3)), "logits", half=True)
    assert 0 < half.largest <= TOLERANCES[torch.float16] * half.scale
    require_equal(half, torch.float16)


def test_rotary_positions_stay_float32_in_float16() -> None:
    model = segmentor(backbone=dict(model_name="vit_small_patch16_rope_mixed_224"))
    made = deployed(model, "logits", half=True)
    types = {name: value.dtype for name, value in made.model.backbone.trunk.named_parameters()}
    assert {dtype for name, dtype in types.items() if name.startswith("rope.")} == {torch.float32}
    assert {dtype for name, dtype in types.items() if not name.startswith("rope.")} == {torch.float16}


def test_labels_are_those_that_predictor_gives_of_images_that_its_pipeline_resized(trained: Trained) -> None:
    predictor = Predictor(trained.checkpoint, device="cpu")
    made = deployed(predictor.model, "logits")
    for image in trained.images:
        pixels = predictor.read(image)
        resized = predictor.pipeline(dict(img=pixels))["inputs"].flip(0)[None]  # RGB
        labels = F.interpolate(made(resized), pixels.shape[:2], mode="bilinear").argmax(dim=1)[0]
        assert len(labels.unique()) > 2
        assert torch.equal(labels, torch.from_numpy(predictor.label(pixels)))


def test_the_model_stays_as_it_is_and_the_copy_holds_only_what_predicts() -> None:
    model = segmentor(backbone=prompts(3), backbone__out_indices=[0])
    before = {name: value.clone() for name, value in model.state_dict().items()}
    made = deployed(model)
    assert made.model.backbone.folded and len(made.model.backbone.trunk.blocks) == 1
    assert not any(parameter.requires_grad for parameter in made.parameters())
    assert model.backbone.folded is None
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_images_may_be_of_any_type() -> None:
    made = deployed(segmentor(), "logits")
    images = torch.randint(0, 256, (1, 3, 32, 32), dtype=torch.uint8)
    assert torch.equal(made(images), made(images.double()))


def test_a_trunk_in_half_precision_computes_in_float32() -> None:
    model = in_float32(segmentor(backbone=dict(trunk_dtype="bfloat16")))
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    logits = found(model, "logits")
    assert logits.largest <= 1e-5 * logits.scale


@pytest.mark.usefixtures("fake_torchao")
def test_a_trunk_in_int8_is_refused() -> None:
    with pytest.raises(InputError, match=r"trunk of this model is in int8 .* without it"):
        in_float32(segmentor(backbone=dict(trunk_quantization="int8")))


def test_windows_that_slide_are_refused_with_what_to_do() -> None:
    model = segmentor(test_cfg=dict(mode="slide", crop_size=(32, 32), stride=(16, 16)))
    with pytest.raises(InputError, match=r"windows that slide .* not exported; --mode whole"):
        deployed(model)


def test_what_is_neither_a_segmentor_nor_a_classifier_is_refused() -> None:
    class Other(torch.nn.Module):
        pass

    with pytest.raises(InputError, match="this model's model is a Other, not a ImageClassifier"):
        deployed(Other())  # type: ignore[arg-type]


def compared(outputs: Tensor, output: str = "logits") -> Difference:
    scores = torch.tensor([[1.0, 5.0], [4.0, -8.0]])
    return difference(lambda images: outputs, [(torch.zeros(2), scores)], output)


def test_a_difference_is_measured_in_logits() -> None:
    assert compared(torch.tensor([[1.0, 5.0], [4.5, -8.0]])) == Difference(0.5, 8.0, None)
    assert compared(torch.tensor([1, 0]), "labels") == Difference(0.0, 8.0, 0.0)
    assert compared(torch.tensor([0, 0]), "labels") == Difference(4.0, 8.0, 0.5)


@pytest.mark.parametrize(
    "outputs", [torch.full((2, 2), torch.nan), torch.tensor([[1.0, 5.0], [4.1, -8.0]]), torch.full((2, 2), torch.inf)]
)
def test_more_than_rounding_is_an_error(outputs: Tensor) -> None:
    with pytest.raises(DiffersError, match=r"its outputs differ from the model's: .* would be rounding"):
        require_equal(compared(outputs), torch.float32)


def test_another_shape_is_an_error() -> None:
    with pytest.raises(DiffersError, match=r"the shape \(2, 3\), and the model's \(2, 2\)"):
        compared(torch.zeros(2, 3))
