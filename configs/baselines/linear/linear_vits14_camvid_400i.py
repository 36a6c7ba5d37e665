# Linear probing: only the head is trained; CamVid in 400 iterations.
_base_ = [
    "../../_base_/models/linear_vits14_slide112.py",
    "../../_base_/datasets/camvid_crop112.py",
    "../../_base_/schedules/adamw_400i.py",
    "../../_base_/runtime/default.py",
]
model = dict(
    decode_head=dict(num_classes=11),
)
