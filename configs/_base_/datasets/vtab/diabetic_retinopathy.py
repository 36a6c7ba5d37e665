_base_ = "base.py"
num_classes = 5
train_dataloader = dict(dataset=dict(dataset="diabetic_retinopathy"))
val_dataloader = dict(dataset=dict(dataset="diabetic_retinopathy"))
test_dataloader = val_dataloader
