"""What the hooks add to an unmodified ``ImageClassifier``, against losses written out by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import MODELS, init_default_scope
from mmpretrain.structures import DataSample
from torch import Tensor, nn

import davpt_seg  # noqa: F401  (registers the backbone)
from davpt_seg.engine import MetricLossHook

CLASSES, PROMPTS = 5, 3
LINEAR = dict(type="LinearClsHead")
MULTI = dict(type="MultiLabelLinearClsHead")


def classifier(head: dict[str, Any] = LINEAR, neck: Any = None, out_type: str = "cls_token", **guidance: Any) -> Any:
    """A classifier of two blocks, always the same, with its metric losses attached."""
    init_default_scope("mmpretrain")
    torch.manual_seed(0)
    with_cp = guidance.pop("with_cp", False)
    guidance = dict(dict(num_classes=CLASSES, blocks=[0, 1], patch_weight=0.3, cls_weight=0.2), **guidance)
    backbone = dict(
        type="PromptedViT",
        model_name="vit_tiny_patch16_224",
        timm_kwargs=dict(img_size=16, patch_size=8, depth=2, embed_dim=16, num_heads=2),
        out_type=out_type,
        out_indices=(1,),
        prompts=dict(num_prompts=PROMPTS),
        guidance=guidance,
        with_cp=with_cp,
    )
    head = dict(head, num_classes=guidance["num_classes"], in_channels=16)
    config = dict(type="ImageClassifier", backbone=backbone, neck=neck, head=head)
    model = MODELS.build(dict(config, data_preprocessor=dict(type="ClsDataPreprocessor"))).train()
    MetricLossHook().before_train(SimpleNamespace(model=model, hooks=[]))
    return model


def images(*labels: Any) -> tuple[Tensor, list[DataSample]]:
    generator = torch.Generator().manual_seed(1)
    pictures = torch.randn(len(labels), 3, 16, 16, generator=generator)
    return pictures, [DataSample().set_gt_label(label) for label in labels]


def log_one_plus(scores: list[Tensor]) -> Tensor:
    return torch.log(1 + sum((score.exp() for score in scores), torch.zeros(())))


def proxy_anchor_by_hand(proxies: Tensor, tokens: Tensor, same: list[list[Any]]) -> Tensor:
    """METHOD.md's L_ML, pair by pair; ``same[t][p]``: of one class, of two, or None."""
    pulls, pushes = [], []
    for p, proxy in enumerate(proxies):
        cosines = [torch.dot(proxy, token) / proxy.norm() / token.norm() for token in tokens]
        own = [-32 * (c - 0.1) for c, row in zip(cosines, same) if row[p] is True]
        other = [32 * (c + 0.1) for c, row in zip(cosines, same) if row[p] is False]
        pulls += [log_one_plus(own)] * bool(own)
        pushes.append(log_one_plus(other))
    return sum(pulls, torch.zeros(())) / max(len(pulls), 1) + sum(pushes) / len(pushes)


def metric_losses_by_hand(model: Any, pictures: Tensor, labels: list[set[int]]) -> dict[str, Tensor]:
    """Of both guided blocks; class c speaks through prompt c mod M, which nobody has clustered anew."""
    records = model.backbone.encode(pictures, record=True).records
    prompt_of = model.backbone.guidance.mapping.prompt_of_class.tolist()
    patch, image = [], []
    for record in records:
        # an image's patches are of its class; of which they are where it has several, nobody knows
        pairs = [
            [p == prompt_of[min(classes)] if len(classes) == 1 else None for p in range(PROMPTS)]
            for classes in labels
            for _ in range(record.tokens.shape[1])
        ]
        patch.append(proxy_anchor_by_hand(record.prompts, record.tokens.flatten(0, 1), pairs))
        spoken_for = [{prompt_of[c] for c in classes} for classes in labels]
        of_images = [[p in mine for mine in spoken_for] for p in range(PROMPTS)]
        image.append(proxy_anchor_by_hand(record.image_token, record.prompts, of_images))
    return dict(loss_metric_patch=0.3 * sum(patch) / 2, loss_metric_cls=0.2 * sum(image) / 2)


@pytest.mark.parametrize(
    ("classes", "labels"),
    [(CLASSES, [0, 3, 4, 3]), (300, [0, 255, 299, 255])],
    ids=["few", "more than label maps have"],
)
def test_losses_are_cross_entropy_and_the_metric_losses_written_out(classes: int, labels: list[int]) -> None:
    model, (pictures, samples) = classifier(num_classes=classes, ignore_index=-1), images(*labels)
    losses = model(pictures, samples, mode="loss")
    scores = model.head.fc(model.backbone.encode(pictures).class_token)
    expected = dict(loss=F.cross_entropy(scores, torch.tensor(labels)))
    expected.update(metric_losses_by_hand(model, pictures, [{label} for label in labels]))
    assert losses.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(losses[name], value, msg=name)
    total, _ = model.parse_losses(losses)
    torch.testing.assert_close(total, sum(expected.values()))


def test_images_of_several_classes_guide_by_their_class_tokens_and_leave_their_patches_void() -> None:
    model, (pictures, samples) = classifier(MULTI), images([0, 2], [3], [1, 2, 4])
    losses = model(pictures, samples, mode="loss")
    target = torch.zeros(3, CLASSES)
    for row, column in ((0, 0), (0, 2), (1, 3), (2, 1), (2, 2), (2, 4)):
        target[row, column] = 1
    scores = model.head.fc(model.backbone.encode(pictures).class_token)
    # mmpretrain sums over classes and takes the mean over images
    expected = dict(loss=F.binary_cross_entropy_with_logits(scores, target, reduction="sum") / 3)
    expected.update(metric_losses_by_hand(model, pictures, [{0, 2}, {3}, {1, 2, 4}]))
    for name, value in expected.items():
        torch.testing.assert_close(losses[name], value, msg=name)


GLOBAL_POOL = dict(type="GlobalAveragePooling")


@pytest.mark.parametrize(
    ("head", "neck", "out_type"),
    [
        (LINEAR, None, "avg_featmap"),
        (LINEAR, GLOBAL_POOL, "featmap"),
        (dict(type="VisionTransformerClsHead"), None, "cls_token"),
        (dict(type="VisionTransformerClsHead", hidden_dim=8), None, "cls_token"),
        (dict(type="StackedLinearClsHead", mid_channels=[8]), None, "avg_featmap"),
        (dict(type="ArcFaceClsHead"), None, "cls_token"),
        (dict(type="CSRAClsHead", num_heads=1, lam=0.1), None, "featmap"),
    ],
    ids=lambda value: (value or {}).get("type", "none") if not isinstance(value, str) else value,
)
def test_heads_and_necks_of_mmpretrain_take_what_the_backbone_gives(head: dict, neck: Any, out_type: str) -> None:
    model = classifier(head, neck, out_type, labels="image")
    model.init_weights()
    multi = "CSRA" in head["type"]
    pictures, samples = images(*([[0], [3]] if multi else [0, 3]))
    losses = model(pictures, samples, mode="loss")
    total, _ = model.parse_losses(losses)
    total.backward()
    assert {"loss_metric_patch", "loss_metric_cls"} < losses.keys()
    for prompts in model.backbone.prompts.parameters():
        assert prompts.grad.abs().max() > 0
    predicted = model.eval()(pictures, samples, mode="predict")
    assert all(sample.pred_score.shape == (CLASSES,) for sample in predicted)


def gradients(model: nn.Module, dtype: torch.dtype = torch.float32) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    pictures, samples = images(0, 3, 4, 3)
    with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
        losses = model(pictures, samples, mode="loss")
    model.parse_losses(losses)[0].backward()
    return losses, {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def test_gradient_checkpointing_changes_no_loss_and_no_gradient_of_a_classifier() -> None:
    losses, grads = gradients(classifier())
    again, grads_again = gradients(classifier(with_cp=True))
    assert grads.keys() == grads_again.keys() >= {"backbone.prompts.values.0", "head.fc.weight"}
    for name, value in {**losses, **grads}.items():
        assert torch.equal({**again, **grads_again}[name], value), name


def test_mixed_precision_keeps_a_classifiers_losses_and_the_direction_of_its_gradients() -> None:
    losses, grads = gradients(classifier())
    mixed, mixed_grads = gradients(classifier(), torch.bfloat16)
    for name, value in losses.items():
        torch.testing.assert_close(mixed[name].float(), value, rtol=0.03, atol=0, msg=name)
        assert mixed[name] != value, name  # it was at work
    for name, value in grads.items():
        assert mixed_grads[name].dtype == torch.float32
        assert F.cosine_similarity(mixed_grads[name].flatten(), value.flatten(), dim=0) > 0.98, name
