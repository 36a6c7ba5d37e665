# E2VPT (arXiv 2307.13770) before pruning (tools/prune.py);
# CamVid in 400 iterations.
_base_ = ["../linear/linear_vits14_camvid_400i.py"]
model = dict(backbone=dict(prompts=dict(num_prompts=20), adapters=[dict(type="key_value_prompts", num_prompts=5)]))
