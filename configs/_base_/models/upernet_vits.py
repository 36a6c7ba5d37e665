# UPerNet on a frozen ViT-S/16, augreg ImageNet-21k.
_base_ = "upernet_vitl.py"
model = dict(
    backbone=dict(model_name="vit_small_patch16_224.augreg_in21k", out_indices=(2, 5, 8, 11)),
    neck=dict(in_channels=[384, 384, 384, 384]),
)
