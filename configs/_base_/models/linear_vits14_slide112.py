# linear_vits14.py, tested on windows of the training crop's size.
_base_ = ["linear_vits14.py"]
model = dict(test_cfg=dict(mode="slide", crop_size=(112, 112), stride=(56, 112)))
