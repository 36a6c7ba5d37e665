# DA-VPT (arXiv 2505.23694) in two minutes on two CPU cores: which photograph is each piece of a scene from?
# Each of the ten classes has its own prompt in the guided block. With fewer prompts (6, say) the log and the figures
# show which classes share one.
_base_ = [
    "../_base_/models/upernet_vits14.py",
    "../_base_/datasets/demo_scenes.py",
    "../_base_/schedules/demo.py",
    "../_base_/runtime/default.py",
]
model = dict(
    backbone=dict(
        prompts=dict(num_prompts=[20] * 11 + [10]),
        guidance=dict(num_classes=10, blocks=[11], patch_weight=0.05, cls_weight=0.05),
    ),
    decode_head=dict(num_classes=10),
    auxiliary_head=dict(num_classes=10),
)
custom_hooks = [dict(type="MetricLossHook"), dict(type="PromptMappingHook")]
