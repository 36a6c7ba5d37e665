# SSF (arXiv 2210.08823): every channel scaled and shifted;
# UPerNet on ViT-L/16, PASCAL Context (59 classes).
_base_ = ["../linear/upernet_vitl_pascal_context_59.py"]
model = dict(backbone=dict(adapters=[dict(type="ssf")]))
