_base_ = "base.py"
num_classes = 10
train_dataloader = dict(dataset=dict(dataset="eurosat"))
val_dataloader = dict(dataset=dict(dataset="eurosat"))
test_dataloader = val_dataloader
