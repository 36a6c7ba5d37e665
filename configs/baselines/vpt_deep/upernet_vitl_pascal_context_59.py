# VPT-Deep: DA-VPT without metric guidance; UPerNet on ViT-L/16, PASCAL Context (59 classes).
_base_ = ["../linear/upernet_vitl_pascal_context_59.py"]
model = dict(
    backbone=dict(
        prompts=dict(num_prompts=[20] * 23 + [10]),
    )
)
