# AdaptFormer (arXiv 2205.13535): a bottleneck beside each FFN;
# UPerNet on ViT-L/16, ADE20K.
_base_ = ["../linear/upernet_vitl_ade20k.py"]
model = dict(backbone=dict(adapters=[dict(type="adaptformer", width=64)]))
