# Full fine-tuning: the complete ViT is trained; UPerNet on ViT-L/16, PASCAL Context (59 classes).
_base_ = ["../linear/upernet_vitl_pascal_context_59.py"]
model = dict(backbone=dict(frozen=False, trunk_mode="train", drop_path_rate=0.1))
