# VPT-Deep: DA-VPT without metric guidance; UPerNet on ViT-L/16, PASCAL Context (59 classes and background).
_base_ = ["../linear/upernet_vitl_pascal_context.py"]
model = dict(
    backbone=dict(
        prompts=dict(num_prompts=[20] * 23 + [10]),
    )
)
