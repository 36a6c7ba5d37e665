_base_ = "base.py"
num_classes = 9
train_dataloader = dict(dataset=dict(dataset="smallnorb_ele"))
val_dataloader = dict(dataset=dict(dataset="smallnorb_ele"))
test_dataloader = val_dataloader
