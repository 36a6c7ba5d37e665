# LoRA and metric guidance, whose 10 proxies draw the last block's tokens;
# UPerNet on ViT-L/16, PASCAL Context (59 classes).
_base_ = ["../../baselines/linear/upernet_vitl_pascal_context_59.py"]
model = dict(
    backbone=dict(
        adapters=[dict(type="lora", rank=8)],
        guidance=dict(
            num_classes=59, blocks=[-1], patch_weight=0.05, cls_weight=0.05, prompt_scale=5.0, num_prompts=10
        ),
    )
)
custom_hooks = [dict(type="MetricLossHook"), dict(type="PromptMappingHook")]
