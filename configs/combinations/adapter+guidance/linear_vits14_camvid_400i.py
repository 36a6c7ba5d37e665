# Adapter and metric guidance, whose 10 proxies draw the last block's tokens;
# CamVid in 400 iterations.
_base_ = ["../../baselines/linear/linear_vits14_camvid_400i.py"]
model = dict(
    backbone=dict(
        adapters=[dict(type="adapter", width=64)],
        guidance=dict(
            num_classes=11, blocks=[-1], patch_weight=0.05, cls_weight=0.05, prompt_scale=5.0, num_prompts=10
        ),
    )
)
custom_hooks = [dict(type="MetricLossHook"), dict(type="PromptMappingHook")]
