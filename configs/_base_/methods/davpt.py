# DA-VPT (arXiv 2505.23694): VPT-Deep whose last block's prompts are guided.
# Prompts, guided block, weights and prompt_scale are those of the released segmentation config.
_base_ = "vpt_deep.py"
model = dict(
    backbone=dict(guidance=dict(blocks=[-1], patch_weight=0.05, cls_weight=0.05, metric=dict(prompt_scale=5.0)))
)
custom_hooks = [dict(type="MetricLossHook"), dict(type="PromptMappingHook")]
