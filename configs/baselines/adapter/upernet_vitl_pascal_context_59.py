# Adapter (arXiv 1902.00751): a bottleneck after each FFN;
# UPerNet on ViT-L/16, PASCAL Context (59 classes).
_base_ = ["../linear/upernet_vitl_pascal_context_59.py"]
model = dict(backbone=dict(adapters=[dict(type="adapter", width=64)]))
