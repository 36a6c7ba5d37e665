# Linear probing: only the head is trained; SETR-PUP on ViT-L/16, PASCAL Context (59 classes and background).
_base_ = [
    "../../_base_/models/setr_pup_vitl.py",
    "../../_base_/datasets/pascal_context.py",
    "../../_base_/schedules/released_160k.py",
    "../../_base_/runtime/default.py",
]
model = dict(
    decode_head=dict(num_classes=60),
    auxiliary_head=[dict(head, num_classes=60) for head in _base_.model.auxiliary_head],
)
