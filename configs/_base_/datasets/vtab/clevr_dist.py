_base_ = "base.py"
num_classes = 6
train_dataloader = dict(dataset=dict(dataset="clevr_dist"))
val_dataloader = dict(dataset=dict(dataset="clevr_dist"))
test_dataloader = val_dataloader
