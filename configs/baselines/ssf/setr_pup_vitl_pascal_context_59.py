# SSF (arXiv 2210.08823): every channel scaled and shifted;
# SETR-PUP on ViT-L/16, PASCAL Context (59 classes).
_base_ = ["../linear/setr_pup_vitl_pascal_context_59.py"]
model = dict(backbone=dict(adapters=[dict(type="ssf")]))
