# UPerNet on a frozen ViT-L/14 with four registers, DINOv2. Images have ImageNet's mean and standard deviation, in
# crops of complete patches: 504 = 36 x 14.
_base_ = "upernet_vitl.py"
data_preprocessor = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], size=(504, 504))
model = dict(
    data_preprocessor=data_preprocessor,
    backbone=dict(model_name="vit_large_patch14_reg4_dinov2.lvd142m"),
    test_cfg=dict(crop_size=(504, 504), stride=(336, 336)),
)
