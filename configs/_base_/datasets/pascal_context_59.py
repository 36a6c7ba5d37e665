# PASCAL Context without background: 59 classes, whose masks' zeros are void.
_base_ = "pascal_context.py"
train_pipeline = [dict(s, num_classes=59) if s["type"] == "CheckLabels" else s for s in _base_.train_pipeline]
test_pipeline = [dict(s, num_classes=59) if s["type"] == "CheckLabels" else s for s in _base_.test_pipeline]
train_dataloader = dict(dataset=dict(type="PascalContextDataset59", reduce_zero_label=True, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(type="PascalContextDataset59", reduce_zero_label=True, pipeline=test_pipeline))
test_dataloader = val_dataloader
