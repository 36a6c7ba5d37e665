# GateVPT (arXiv 2306.05067): gated shallow prompts, attention temperatures;
# CamVid in 400 iterations.
_base_ = ["../linear/linear_vits14_camvid_400i.py"]
model = dict(backbone=dict(prompts=dict(num_prompts=20, kind="gated")))
