_base_ = "base.py"
num_classes = 2
train_dataloader = dict(dataset=dict(dataset="patch_camelyon"))
val_dataloader = dict(dataset=dict(dataset="patch_camelyon"))
test_dataloader = val_dataloader
