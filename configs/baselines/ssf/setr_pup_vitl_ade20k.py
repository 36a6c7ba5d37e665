# SSF (arXiv 2210.08823): every channel scaled and shifted;
# SETR-PUP on ViT-L/16, ADE20K.
_base_ = ["../linear/setr_pup_vitl_ade20k.py"]
model = dict(backbone=dict(adapters=[dict(type="ssf")]))
