_base_ = "base.py"
num_classes = 397
train_dataloader = dict(dataset=dict(dataset="sun397"))
val_dataloader = dict(dataset=dict(dataset="sun397"))
test_dataloader = val_dataloader
