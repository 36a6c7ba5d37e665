# CIFAR-10 in VTAB-1k's layout; it is not one of its tasks, but a small download.
_base_ = "base.py"
num_classes = 10
train_dataloader = dict(dataset=dict(dataset="cifar10_1k"))
val_dataloader = dict(dataset=dict(dataset="cifar10_1k"))
test_dataloader = val_dataloader
