# Adapter (arXiv 1902.00751): a bottleneck after each FFN;
# SETR-PUP on ViT-L/16, ADE20K.
_base_ = ["../linear/setr_pup_vitl_ade20k.py"]
model = dict(backbone=dict(adapters=[dict(type="adapter", width=64)]))
