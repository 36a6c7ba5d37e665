# VPT-Deep: DA-VPT without metric guidance; SETR-PUP on ViT-L/16, ADE20K.
_base_ = ["../linear/setr_pup_vitl_ade20k.py"]
model = dict(
    backbone=dict(
        prompts=dict(num_prompts=[20] * 23 + [10]),
    )
)
