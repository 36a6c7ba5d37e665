# PASCAL Context, 59 classes: the masks of pascal_context.py, with background (0) as void (reduce_zero_label).
_base_ = ["pascal_context.py"]
train_pipeline = _base_.train_pipeline
train_pipeline[2].num_classes = 59  # CheckLabels, after LoadLabelMap has shifted the labels to 0 to 58
test_pipeline = _base_.test_pipeline
test_pipeline[3].num_classes = 59
train_dataloader = dict(dataset=dict(type="PascalContextDataset59", pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(type="PascalContextDataset59", pipeline=test_pipeline))
test_dataloader = val_dataloader
