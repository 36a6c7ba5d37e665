# UPerNet on a frozen Perception Encoder, its spatial ViT-L/14 (arXiv 2504.13181), in crops of complete patches:
# 504 = 36 x 14.
_base_ = "upernet_vitl.py"
data_preprocessor = dict(size=(504, 504))
model = dict(
    data_preprocessor=data_preprocessor,
    backbone=dict(model_name="vit_pe_spatial_large_patch14_448.fb"),
    test_cfg=dict(crop_size=(504, 504), stride=(336, 336)),
)
