# VPT-Shallow: prompts join the sequence before the first block; CamVid in 400 iterations.
_base_ = [
    "../../_base_/models/linear_vits14_slide112.py",
    "../../_base_/datasets/camvid_crop112.py",
    "../../_base_/schedules/adamw_400i.py",
    "../../_base_/runtime/default.py",
]
model = dict(
    backbone=dict(prompts=dict(num_prompts=20, kind="shallow")),
    decode_head=dict(num_classes=11),
)
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={"backbone": dict(lr_mult=1.0)}))
