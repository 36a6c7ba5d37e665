# DA-VPT (arXiv 2505.23694), ViT-L/16 and UPerNet on PASCAL Context (59 classes and background).
# Prompts, guided block, weights and prompt_scale are those of the released segmentation config.
_base_ = [
    "../_base_/models/upernet_vitl.py",
    "../_base_/datasets/pascal_context.py",
    "../_base_/schedules/sgd_160k.py",
    "../_base_/runtime/default.py",
]
model = dict(
    backbone=dict(
        prompts=dict(num_prompts=[20] * 23 + [10]),
        guidance=dict(num_classes=60, blocks=[23], patch_weight=0.05, cls_weight=0.05, prompt_scale=5.0),
    ),
    decode_head=dict(num_classes=60),
    auxiliary_head=dict(num_classes=60),
)
custom_hooks = [dict(type="MetricLossHook"), dict(type="PromptMappingHook")]
