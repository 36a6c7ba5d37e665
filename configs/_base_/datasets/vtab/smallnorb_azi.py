_base_ = "base.py"
num_classes = 18
train_dataloader = dict(dataset=dict(dataset="smallnorb_azi"))
val_dataloader = dict(dataset=dict(dataset="smallnorb_azi"))
test_dataloader = val_dataloader
