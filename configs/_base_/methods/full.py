# Full fine-tuning: the whole ViT is trained, at the rate that the schedule gives it.
model = dict(backbone=dict(frozen=False, trunk_mode="train", drop_path_rate=0.1))
