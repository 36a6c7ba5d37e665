# A linear classifier of patches on the last map of a frozen DINOv3 ViT-L/16, with its final norm, in the data set's own
# crops.
_base_ = "linear_vits14.py"
model = dict(
    backbone=dict(model_name="vit_large_patch16_dinov3.lvd1689m", pretrained=True, weights=None, out_indices=(23,)),
    decode_head=dict(in_channels=1024, channels=1024),
)
