_base_ = "base.py"
num_classes = 47
train_dataloader = dict(dataset=dict(dataset="dtd"))
val_dataloader = dict(dataset=dict(dataset="dtd"))
test_dataloader = val_dataloader
