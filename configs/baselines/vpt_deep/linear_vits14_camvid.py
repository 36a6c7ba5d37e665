# VPT-Deep: DA-VPT without metric guidance; CamVid.
_base_ = [
    "../../_base_/models/linear_vits14.py",
    "../../_base_/datasets/camvid_168x224.py",
    "../../_base_/schedules/adamw_15e.py",
    "../../_base_/runtime/default.py",
]
model = dict(
    backbone=dict(prompts=dict(num_prompts=20)),
    decode_head=dict(num_classes=11),
)
