# LoRA (arXiv 2106.09685) on queries, keys and values;
# UPerNet on ViT-L/16, PASCAL Context (59 classes).
_base_ = ["../linear/upernet_vitl_pascal_context_59.py"]
model = dict(backbone=dict(adapters=[dict(type="lora", rank=8)]))
