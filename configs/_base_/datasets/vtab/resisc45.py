_base_ = "base.py"
num_classes = 45
train_dataloader = dict(dataset=dict(dataset="resisc45"))
val_dataloader = dict(dataset=dict(dataset="resisc45"))
test_dataloader = val_dataloader
