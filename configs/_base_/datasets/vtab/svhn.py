_base_ = "base.py"
num_classes = 10
train_dataloader = dict(dataset=dict(dataset="svhn"))
val_dataloader = dict(dataset=dict(dataset="svhn"))
test_dataloader = val_dataloader
