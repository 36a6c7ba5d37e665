# VPT-Deep whose prompts of the fourth block from the end stay in the sequence;
# CamVid in 400 iterations.
_base_ = ["../../baselines/linear/linear_vits14_camvid_400i.py"]
model = dict(
    backbone=dict(
        prompts=dict(num_prompts=[20] * 11 + [10], carry=-4),
    )
)
