# LoRA (arXiv 2106.09685) on queries, keys and values;
# UPerNet on ViT-L/16, PASCAL Context (59 classes and background).
_base_ = ["../linear/upernet_vitl_pascal_context.py"]
model = dict(backbone=dict(adapters=[dict(type="lora", rank=8)]))
