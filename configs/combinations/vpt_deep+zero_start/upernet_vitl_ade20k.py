# VPT-Deep whose prompts start as the pre-trained ViT, by a softmax of their own;
# UPerNet on ViT-L/16, ADE20K.
_base_ = ["../../baselines/vpt_deep/upernet_vitl_ade20k.py"]
model = dict(backbone=dict(prompts=dict(start="offset")))
