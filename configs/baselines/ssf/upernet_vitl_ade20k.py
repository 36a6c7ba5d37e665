# SSF (arXiv 2210.08823): every channel scaled and shifted;
# UPerNet on ViT-L/16, ADE20K.
_base_ = ["../linear/upernet_vitl_ade20k.py"]
model = dict(backbone=dict(adapters=[dict(type="ssf")]))
