_base_ = "base.py"
num_classes = 16
train_dataloader = dict(dataset=dict(dataset="dsprites_ori"))
val_dataloader = dict(dataset=dict(dataset="dsprites_ori"))
test_dataloader = val_dataloader
