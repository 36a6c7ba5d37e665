# Prompts that start as prototypes of the tokens that their block reads (SPT, arXiv 2402.02382), to join deep prompts:
# vpt_deep+prototypes. One pass of the pre-trained ViT over training images comes before the first step.
model = dict(backbone=dict(prompts=dict(init="prototypes")))
custom_hooks = [dict(type="DataMeanInitHook")]
