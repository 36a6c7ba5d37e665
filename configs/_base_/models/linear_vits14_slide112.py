# The linear head of linear_vits14.py on the frozen ViT-S/14, tested on windows of the training crop's size.
_base_ = ["linear_vits14.py"]
model = dict(test_cfg=dict(mode="slide", crop_size=(112, 112), stride=(56, 112)))
