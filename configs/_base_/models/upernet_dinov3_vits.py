# UPerNet on a frozen DINOv3 ViT-S/16.
_base_ = "upernet_dinov3_vitl.py"
model = dict(
    backbone=dict(model_name="vit_small_patch16_dinov3.lvd1689m", out_indices=(2, 5, 8, 11)),
    neck=dict(in_channels=[384, 384, 384, 384]),
)
