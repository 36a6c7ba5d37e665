# VPT-Deep whose prompts start as the pre-trained ViT, by a softmax of their own;
# UPerNet on ViT-L/16, PASCAL Context (59 classes).
_base_ = ["../../baselines/vpt_deep/upernet_vitl_pascal_context_59.py"]
model = dict(backbone=dict(prompts=dict(start="offset")))
