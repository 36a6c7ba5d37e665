_base_ = "base.py"
num_classes = 6
train_dataloader = dict(dataset=dict(dataset="dmlab"))
val_dataloader = dict(dataset=dict(dataset="dmlab"))
test_dataloader = val_dataloader
