_base_ = "base.py"
num_classes = 4
train_dataloader = dict(dataset=dict(dataset="kitti"))
val_dataloader = dict(dataset=dict(dataset="kitti"))
test_dataloader = val_dataloader
