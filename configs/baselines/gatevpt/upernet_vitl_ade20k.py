# GateVPT (arXiv 2306.05067): gated shallow prompts, attention temperatures;
# UPerNet on ViT-L/16, ADE20K.
_base_ = ["../linear/upernet_vitl_ade20k.py"]
model = dict(backbone=dict(prompts=dict(num_prompts=20, kind="gated")))
