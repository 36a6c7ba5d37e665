# VPT-Deep whose prompts of the fourth block from the end stay in the sequence;
# SETR-PUP on ViT-L/16, ADE20K.
_base_ = ["../../baselines/linear/setr_pup_vitl_ade20k.py"]
model = dict(
    backbone=dict(
        prompts=dict(num_prompts=[20] * 23 + [10], carry=-4),
    )
)
