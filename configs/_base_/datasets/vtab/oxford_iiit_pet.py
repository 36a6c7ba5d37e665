_base_ = "base.py"
num_classes = 37
train_dataloader = dict(dataset=dict(dataset="oxford_iiit_pet"))
val_dataloader = dict(dataset=dict(dataset="oxford_iiit_pet"))
test_dataloader = val_dataloader
