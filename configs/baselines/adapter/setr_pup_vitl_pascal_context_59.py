# Adapter (arXiv 1902.00751): a bottleneck after each FFN;
# SETR-PUP on ViT-L/16, PASCAL Context (59 classes).
_base_ = ["../linear/setr_pup_vitl_pascal_context_59.py"]
model = dict(backbone=dict(adapters=[dict(type="adapter", width=64)]))
