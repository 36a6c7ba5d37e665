_base_ = "base.py"
num_classes = 16
train_dataloader = dict(dataset=dict(dataset="dsprites_loc"))
val_dataloader = dict(dataset=dict(dataset="dsprites_loc"))
test_dataloader = val_dataloader
