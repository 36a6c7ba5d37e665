# VPT-Deep (arXiv 2203.12119) with the prompts of DA-VPT. A ViT of fewer blocks takes the last of these counts.
model = dict(backbone=dict(prompts=dict(num_prompts=[20] * 23 + [10])))
