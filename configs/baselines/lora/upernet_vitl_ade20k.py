# LoRA (arXiv 2106.09685) on queries, keys and values;
# UPerNet on ViT-L/16, ADE20K.
_base_ = ["../linear/upernet_vitl_ade20k.py"]
model = dict(backbone=dict(adapters=[dict(type="lora", rank=8)]))
