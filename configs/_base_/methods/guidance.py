# Metric guidance (DA-VPT, arXiv 2505.23694, Sec. 3.2), to join any method: method=lora+guidance. It guides the last
# block's prompts; if it has none, 10 learned proxies replace them. Weights are those of davpt.py.
model = dict(
    backbone=dict(guidance=dict(blocks=[-1], patch_weight=0.05, cls_weight=0.05, metric=dict(prompt_scale=5.0)))
)
custom_hooks = [dict(type="MetricLossHook"), dict(type="PromptMappingHook")]
