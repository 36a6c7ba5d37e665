# E2VPT (arXiv 2307.13770) before pruning (tools/prune.py);
# UPerNet on ViT-L/16, ADE20K.
_base_ = ["../linear/upernet_vitl_ade20k.py"]
model = dict(backbone=dict(prompts=dict(num_prompts=20), adapters=[dict(type="key_value_prompts", num_prompts=5)]))
