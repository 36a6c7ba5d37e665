# DA-VPT (arXiv 2505.23694), ViT-S/14 and a linear head; CamVid in 400 iterations.
_base_ = [
    "../_base_/models/linear_vits14_slide112.py",
    "../_base_/datasets/camvid_crop112.py",
    "../_base_/schedules/adamw_400i.py",
    "../_base_/runtime/default.py",
]
model = dict(
    backbone=dict(
        prompts=dict(num_prompts=20),
        guidance=dict(num_classes=11, blocks=[11], patch_weight=0.05, cls_weight=0.05),
    ),
    decode_head=dict(num_classes=11),
)
custom_hooks = [dict(type="MetricLossHook", log_stats=True), dict(type="PromptMappingHook")]
