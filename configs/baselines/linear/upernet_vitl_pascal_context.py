# Linear probing: only the head is trained; UPerNet on ViT-L/16, PASCAL Context (59 classes and background).
_base_ = [
    "../../_base_/models/upernet_vitl.py",
    "../../_base_/datasets/pascal_context.py",
    "../../_base_/schedules/released_160k.py",
    "../../_base_/runtime/default.py",
]
model = dict(
    decode_head=dict(num_classes=60),
    auxiliary_head=dict(num_classes=60),
)
