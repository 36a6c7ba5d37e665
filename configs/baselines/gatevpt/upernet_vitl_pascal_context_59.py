# GateVPT (arXiv 2306.05067): gated shallow prompts, attention temperatures;
# UPerNet on ViT-L/16, PASCAL Context (59 classes).
_base_ = ["../linear/upernet_vitl_pascal_context_59.py"]
model = dict(backbone=dict(prompts=dict(num_prompts=20, kind="gated")))
