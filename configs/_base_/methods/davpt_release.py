# DA-VPT as its authors released it: raw prompts are the proxies of both losses. Their samples are the mean of the
# patches that enter a guided block, and the class token's query. Prompts start smaller. Classes are clustered by the
# final class token. docs/method.md lists the remaining differences.
_base_ = "davpt_plus.py"
model = dict(
    backbone=dict(
        prompts=dict(init="release", init_scale=0.125),
        guidance=dict(
            metric=dict(
                prompt_side="prompt",
                token_side="block_input",
                patch_tokens="mean",
                cls_side="query",
                cls_proxies="prompt",
                divisor="all",
            ),
            labelling=dict(labels="image"),
            mapping=dict(class_means="final"),
        ),
    )
)
custom_hooks = [
    dict(type="MetricLossHook"),
    dict(type="PromptMappingHook", first_pass_batches=None, first_pass_images_per_class=10),
]
