# LoRA (arXiv 2106.09685) on queries, keys and values;
# SETR-PUP on ViT-L/16, ADE20K.
_base_ = ["../linear/setr_pup_vitl_ade20k.py"]
model = dict(backbone=dict(adapters=[dict(type="lora", rank=8)]))
