# DA-VPT (arXiv 2505.23694), ViT-L/16 and UPerNet on ADE20K.
# Prompts, guided block, weights and prompt_scale are those of the released segmentation config.
_base_ = [
    "../_base_/models/upernet_vitl.py",
    "../_base_/datasets/ade20k.py",
    "../_base_/schedules/sgd_160k.py",
    "../_base_/runtime/default.py",
]
model = dict(
    backbone=dict(
        prompts=dict(num_prompts=[20] * 23 + [10]),
        guidance=dict(num_classes=150, blocks=[23], patch_weight=0.05, cls_weight=0.05, prompt_scale=5.0),
    ),
    decode_head=dict(num_classes=150),
    auxiliary_head=dict(num_classes=150),
)
custom_hooks = [dict(type="MetricLossHook"), dict(type="PromptMappingHook")]
