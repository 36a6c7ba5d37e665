# DA-VPT (arXiv 2505.23694); UPerNet on ViT-L/16, PASCAL Context (59 classes and background).
# Prompts, guided block, weights and prompt_scale are those of the released segmentation config.
_base_ = ["../baselines/linear/upernet_vitl_pascal_context.py"]
model = dict(
    backbone=dict(
        prompts=dict(num_prompts=[20] * 23 + [10]),
        guidance=dict(num_classes=60, blocks=[-1], patch_weight=0.05, cls_weight=0.05, metric=dict(prompt_scale=5.0)),
    )
)
custom_hooks = [dict(type="MetricLossHook"), dict(type="PromptMappingHook")]
