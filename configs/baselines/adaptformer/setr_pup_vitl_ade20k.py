# AdaptFormer (arXiv 2205.13535): a bottleneck beside each FFN;
# SETR-PUP on ViT-L/16, ADE20K.
_base_ = ["../linear/setr_pup_vitl_ade20k.py"]
model = dict(backbone=dict(adapters=[dict(type="adaptformer", width=64)]))
