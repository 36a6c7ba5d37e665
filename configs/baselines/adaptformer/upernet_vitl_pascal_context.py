# AdaptFormer (arXiv 2205.13535): a bottleneck beside each FFN;
# UPerNet on ViT-L/16, PASCAL Context (59 classes and background).
_base_ = ["../linear/upernet_vitl_pascal_context.py"]
model = dict(backbone=dict(adapters=[dict(type="adaptformer", width=64)]))
