# Full fine-tuning: the complete ViT is trained; SETR-PUP on ViT-L/16, PASCAL Context (59 classes and background).
_base_ = ["../linear/setr_pup_vitl_pascal_context.py"]
model = dict(backbone=dict(frozen=False, trunk_mode="train", drop_path_rate=0.1))
