# UPerNet on a frozen DINOv3 ViT-B/16.
_base_ = "upernet_dinov3_vitl.py"
model = dict(
    backbone=dict(model_name="vit_base_patch16_dinov3.lvd1689m", out_indices=(2, 5, 8, 11)),
    neck=dict(in_channels=[768, 768, 768, 768]),
)
