_base_ = "base.py"
num_classes = 8
train_dataloader = dict(dataset=dict(dataset="clevr_count"))
val_dataloader = dict(dataset=dict(dataset="clevr_count"))
test_dataloader = val_dataloader
