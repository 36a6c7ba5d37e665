_base_ = "base.py"
num_classes = 102
train_dataloader = dict(dataset=dict(dataset="oxford_flowers102"))
val_dataloader = dict(dataset=dict(dataset="oxford_flowers102"))
test_dataloader = val_dataloader
