# UPerNet on a frozen ViT-B/16, augreg ImageNet-21k.
_base_ = "upernet_vitl.py"
model = dict(
    backbone=dict(model_name="vit_base_patch16_224.augreg_in21k", out_indices=(2, 5, 8, 11)),
    neck=dict(in_channels=[768, 768, 768, 768]),
)
