# Linear probing: only the head is trained; SETR-PUP on ViT-L/16, PASCAL Context (59 classes).
_base_ = [
    "../../_base_/models/setr_pup_vitl.py",
    "../../_base_/datasets/pascal_context_59.py",
    "../../_base_/schedules/released_160k.py",
    "../../_base_/runtime/default.py",
]
model = dict(
    decode_head=dict(num_classes=59),
    auxiliary_head=[dict(head, num_classes=59) for head in _base_.model.auxiliary_head],
)
