# SETR-PUP on a frozen DINOv3 ViT-S/16; maps at the same shares of its depth as on ViT-L.
_base_ = "setr_pup_dinov3_vitl.py"
model = dict(
    backbone=dict(model_name="vit_small_patch16_dinov3.lvd1689m", out_indices=(4, 7, 9, 11)),
    decode_head=dict(in_channels=384),
    auxiliary_head=[dict(head, in_channels=384) for head in _base_.model.auxiliary_head],
)
