# VPT-Deep whose prompts start as the pre-trained ViT, by a softmax of their own;
# SETR-PUP on ViT-L/16, PASCAL Context (59 classes).
_base_ = ["../../baselines/vpt_deep/setr_pup_vitl_pascal_context_59.py"]
model = dict(backbone=dict(prompts=dict(start="offset")))
