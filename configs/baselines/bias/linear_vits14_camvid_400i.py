# Bias tuning (BitFit, arXiv 2106.10199): every bias of the trunk's blocks is trained; CamVid in 400 iterations.
_base_ = [
    "../../_base_/models/linear_vits14_slide112.py",
    "../../_base_/datasets/camvid_crop112.py",
    "../../_base_/schedules/adamw_400i.py",
    "../../_base_/runtime/default.py",
]
model = dict(
    backbone=dict(
        tuned=[
            "patch_embed.proj.bias",
            "blocks.*.norm1.bias",
            "blocks.*.attn.qkv.bias",
            "blocks.*.attn.proj.bias",
            "blocks.*.norm2.bias",
            "blocks.*.mlp.fc1.bias",
            "blocks.*.mlp.fc2.bias",
            "norm.bias",
        ]
    ),
    decode_head=dict(num_classes=11),
)
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={"backbone": dict(lr_mult=0.0625)}))
