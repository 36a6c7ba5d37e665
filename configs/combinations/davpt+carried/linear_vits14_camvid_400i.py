# DA-VPT whose prompts of the fourth block from the end are guided, and stay in the sequence;
# CamVid in 400 iterations.
_base_ = ["../../baselines/linear/linear_vits14_camvid_400i.py"]
model = dict(
    backbone=dict(
        prompts=dict(num_prompts=[20] * 11 + [10], carry=-4),
        guidance=dict(num_classes=11, blocks=[-4], patch_weight=0.05, cls_weight=0.05, prompt_scale=5.0),
    )
)
custom_hooks = [dict(type="MetricLossHook"), dict(type="PromptMappingHook")]
