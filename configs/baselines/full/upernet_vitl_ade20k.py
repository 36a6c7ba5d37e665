# Full fine-tuning: the complete ViT is trained; UPerNet on ViT-L/16, ADE20K.
_base_ = ["../linear/upernet_vitl_ade20k.py"]
model = dict(backbone=dict(frozen=False, trunk_mode="train", drop_path_rate=0.1))
