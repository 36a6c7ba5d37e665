"""Heads of deformable attention, from mmdet and mmseg, learn and predict on our backbone without compiled ops."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData, PixelData

pytest.importorskip("mmdet")

from mmdet.registry import MODELS as DETECTORS
from mmdet.structures import DetDataSample
from mmseg.registry import MODELS as SEGMENTORS
from mmseg.structures import SegDataSample

import davpt_seg  # noqa: F401

WIDTH, LEVELS, CLASSES = 256, 4, 3  # DINO's decoder encodes boxes in 512 values, twice its width
BACKBONE = dict(
    type="PromptedViT",
    model_name="vit_tiny_patch16_224",
    timm_kwargs=dict(depth=2),
    out_indices=(1,),
    prompts=dict(num_prompts=2, start="offset"),
)
NECK = dict(type="SimpleFeaturePyramid", in_channels=192, out_channels=WIDTH)


@pytest.fixture(autouse=True)
def random_values() -> None:
    torch.manual_seed(0)


def attention(levels: int = LEVELS) -> dict[str, Any]:
    return dict(embed_dims=WIDTH, num_heads=2, num_levels=levels)


def dino() -> Any:
    layer = dict(self_attn_cfg=attention(), ffn_cfg=dict(embed_dims=WIDTH, feedforward_channels=8))
    config = dict(
        type="DINO",
        num_queries=12,
        with_box_refine=True,
        as_two_stage=True,
        data_preprocessor=dict(type="DetDataPreprocessor", pad_size_divisor=32),
        backbone=BACKBONE,
        neck=dict(NECK, scales=(2, 1, 0.5), num_extra=1),
        encoder=dict(num_layers=1, layer_cfg=layer),
        decoder=dict(
            num_layers=1,
            return_intermediate=True,
            post_norm_cfg=None,
            layer_cfg=dict(layer, self_attn_cfg=dict(embed_dims=WIDTH, num_heads=2), cross_attn_cfg=attention()),
        ),
        positional_encoding=dict(num_feats=WIDTH // 2, normalize=True),
        bbox_head=dict(
            type="DINOHead",
            num_classes=CLASSES,
            embed_dims=WIDTH,
            loss_cls=dict(type="FocalLoss", use_sigmoid=True),
            loss_bbox=dict(type="L1Loss"),
            loss_iou=dict(type="GIoULoss"),
        ),
        dn_cfg=dict(
            label_noise_scale=0.5, box_noise_scale=1.0, group_cfg=dict(dynamic=True, num_groups=None, num_dn_queries=4)
        ),
        train_cfg=dict(
            assigner=dict(
                type="HungarianAssigner",
                match_costs=[
                    dict(type="FocalLossCost"),
                    dict(type="BBoxL1Cost", box_format="xywh"),
                    dict(type="IoUCost"),
                ],
            )
        ),
        test_cfg=dict(max_per_img=5),
    )
    init_default_scope("mmdet")
    return DETECTORS.build(ConfigDict(config))


def mask2former() -> Any:
    ffn = dict(embed_dims=WIDTH, feedforward_channels=8, num_fcs=2)
    decoder_attention = dict(embed_dims=WIDTH, num_heads=2, batch_first=True)
    head = dict(
        type="Mask2FormerHead",
        in_channels=[WIDTH] * 4,
        strides=[4, 8, 16, 32],
        feat_channels=WIDTH,
        out_channels=WIDTH,
        num_classes=CLASSES,
        num_queries=5,
        num_transformer_feat_level=3,
        align_corners=False,
        pixel_decoder=dict(
            type="mmdet.MSDeformAttnPixelDecoder",
            num_outs=3,
            norm_cfg=dict(type="GN", num_groups=2),
            act_cfg=dict(type="ReLU"),
            encoder=dict(num_layers=1, layer_cfg=dict(self_attn_cfg=attention(3), ffn_cfg=ffn)),
            positional_encoding=dict(num_feats=WIDTH // 2, normalize=True),
        ),
        enforce_decoder_input_project=False,
        positional_encoding=dict(num_feats=WIDTH // 2, normalize=True),
        transformer_decoder=dict(
            return_intermediate=True,
            num_layers=3,
            layer_cfg=dict(self_attn_cfg=decoder_attention, cross_attn_cfg=decoder_attention, ffn_cfg=ffn),
        ),
        loss_cls=dict(type="mmdet.CrossEntropyLoss", class_weight=[1.0] * CLASSES + [0.1]),
        loss_mask=dict(type="mmdet.CrossEntropyLoss", use_sigmoid=True),
        loss_dice=dict(type="mmdet.DiceLoss", use_sigmoid=True, activate=True, naive_dice=True),
        train_cfg=dict(
            num_points=32,
            oversample_ratio=3.0,
            importance_sample_ratio=0.75,
            assigner=dict(
                type="mmdet.HungarianAssigner",
                match_costs=[
                    dict(type="mmdet.ClassificationCost"),
                    dict(type="mmdet.CrossEntropyLossCost", use_sigmoid=True),
                    dict(type="mmdet.DiceCost", pred_act=True),
                ],
            ),
            sampler=dict(type="mmdet.MaskPseudoSampler"),
        ),
    )
    config = dict(
        type="EncoderDecoder",
        data_preprocessor=dict(type="SegDataPreProcessor", size=(64, 64)),
        backbone=BACKBONE,
        neck=dict(NECK, scales=(4, 2, 1, 0.5)),
        decode_head=head,
        train_cfg=dict(),
        test_cfg=dict(mode="whole"),
    )
    init_default_scope("mmseg")
    return SEGMENTORS.build(ConfigDict(config))


def image_with_a_box() -> DetDataSample:
    sample = DetDataSample(metainfo=dict(img_shape=(64, 96), ori_shape=(64, 96), scale_factor=(1.0, 1.0), img_id=0))
    sample.gt_instances = InstanceData(bboxes=torch.tensor([[8.0, 8.0, 40.0, 48.0]]), labels=torch.tensor([1]))
    return sample


def assert_it_learns(model: Any, data: dict[str, Any]) -> None:
    """The loss falls, and the prompts have a gradient from the first step on."""
    model.init_weights()
    model.train()
    optimizer = torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), lr=1e-3)
    losses = []
    for step in range(30):
        torch.manual_seed(1)  # the same points and noise in each step
        loss, _ = model.parse_losses(model(**model.data_preprocessor(data, True), mode="loss"))
        optimizer.zero_grad()
        loss.backward()
        prompts = [p for name, p in model.backbone.prompts.named_parameters() if p.requires_grad]
        assert prompts and all(p.grad.abs().sum() > 0 for p in prompts), step
        optimizer.step()
        losses.append(float(loss))
    assert losses[-1] < 0.8 * losses[0]


def test_dino_learns_and_predicts() -> None:
    model = dino()
    data = dict(inputs=[torch.randint(0, 255, (3, 64, 96))], data_samples=[image_with_a_box()])
    assert_it_learns(model, data)
    model.eval()
    with torch.no_grad():
        (found,) = model.test_step(data)
    assert found.pred_instances.bboxes.shape == (5, 4)
    assert int(found.pred_instances.labels[0]) == 1  # the class that it was trained on


def test_mask2former_learns_and_predicts() -> None:
    model = mask2former()
    labels = torch.zeros(1, 64, 64, dtype=torch.long)
    labels[:, :, 32:] = 2
    sample = SegDataSample(metainfo=dict(img_shape=(64, 64), ori_shape=(64, 64)), gt_sem_seg=PixelData(data=labels))
    data = dict(inputs=[torch.randint(0, 255, (3, 64, 64))], data_samples=[sample])
    assert_it_learns(model, data)
    model.eval()
    with torch.no_grad():
        (found,) = model.test_step(data)
    assert found.pred_sem_seg.data.shape == (1, 64, 64)
