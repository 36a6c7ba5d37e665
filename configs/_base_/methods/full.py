# Full fine-tuning: the complete ViT is trained, at the schedule's rate.
model = dict(backbone=dict(frozen=False, trunk_mode="train", drop_path_rate=0.1))
