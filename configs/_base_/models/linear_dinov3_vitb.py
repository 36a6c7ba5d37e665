# A linear classifier of patches on the last map of a frozen DINOv3 ViT-B/16.
_base_ = "linear_dinov3_vitl.py"
model = dict(
    backbone=dict(model_name="vit_base_patch16_dinov3.lvd1689m", out_indices=(11,)),
    decode_head=dict(in_channels=768, channels=768),
)
