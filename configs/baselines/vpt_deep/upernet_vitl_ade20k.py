# VPT-Deep: DA-VPT without metric guidance; ADE20K.
_base_ = [
    "../../_base_/models/upernet_vitl.py",
    "../../_base_/datasets/ade20k.py",
    "../../_base_/schedules/sgd_160k.py",
    "../../_base_/runtime/default.py",
]
model = dict(
    backbone=dict(prompts=dict(num_prompts=[20] * 23 + [10])),
    decode_head=dict(num_classes=150),
    auxiliary_head=dict(num_classes=150),
)
