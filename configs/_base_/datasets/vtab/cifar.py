_base_ = "base.py"
num_classes = 100
train_dataloader = dict(dataset=dict(dataset="cifar"))
val_dataloader = dict(dataset=dict(dataset="cifar"))
test_dataloader = val_dataloader
