# VPT-Deep: DA-VPT without metric guidance; UPerNet on ViT-L/16, ADE20K.
_base_ = ["../linear/upernet_vitl_ade20k.py"]
model = dict(
    backbone=dict(
        prompts=dict(num_prompts=[20] * 23 + [10]),
    )
)
