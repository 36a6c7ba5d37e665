# Adapter (arXiv 1902.00751): a bottleneck after each FFN;
# UPerNet on ViT-L/16, ADE20K.
_base_ = ["../linear/upernet_vitl_ade20k.py"]
model = dict(backbone=dict(adapters=[dict(type="adapter", width=64)]))
