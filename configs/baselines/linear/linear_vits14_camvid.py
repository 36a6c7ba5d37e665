# Linear probing: only the head is trained; CamVid.
_base_ = [
    "../../_base_/models/linear_vits14.py",
    "../../_base_/datasets/camvid_168x224.py",
    "../../_base_/schedules/adamw_15e.py",
    "../../_base_/runtime/default.py",
]
model = dict(
    decode_head=dict(num_classes=11),
)
