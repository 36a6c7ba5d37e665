# A linear classifier of patches on the last map of a frozen Perception Encoder, its spatial ViT-L/14, which has no
# final norm; in crops of complete patches: 504 = 36 x 14.
_base_ = "linear_dinov3_vitl.py"
data_preprocessor = dict(mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5], size=(504, 504), size_divisor=None)
model = dict(
    data_preprocessor=data_preprocessor,
    backbone=dict(model_name="vit_pe_spatial_large_patch14_448.fb"),
    test_cfg=dict(mode="slide", crop_size=(504, 504), stride=(336, 336)),
)
