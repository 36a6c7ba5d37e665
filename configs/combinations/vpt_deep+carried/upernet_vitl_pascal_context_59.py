# VPT-Deep whose prompts of the fourth block from the end stay in the sequence;
# UPerNet on ViT-L/16, PASCAL Context (59 classes).
_base_ = ["../../baselines/linear/upernet_vitl_pascal_context_59.py"]
model = dict(
    backbone=dict(
        prompts=dict(num_prompts=[20] * 23 + [10], carry=-4),
    )
)
