# DA-VPT whose prompts of the fourth block from the end are guided, and stay in the sequence;
# UPerNet on ViT-L/16, PASCAL Context (59 classes).
_base_ = ["../../baselines/linear/upernet_vitl_pascal_context_59.py"]
model = dict(
    backbone=dict(
        prompts=dict(num_prompts=[20] * 23 + [10], carry=-4),
        guidance=dict(num_classes=59, blocks=[-4], patch_weight=0.05, cls_weight=0.05, prompt_scale=5.0),
    )
)
custom_hooks = [dict(type="MetricLossHook"), dict(type="PromptMappingHook")]
