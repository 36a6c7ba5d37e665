_base_ = "base.py"
num_classes = 102
train_dataloader = dict(dataset=dict(dataset="caltech101"))
val_dataloader = dict(dataset=dict(dataset="caltech101"))
test_dataloader = val_dataloader
