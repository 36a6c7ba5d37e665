# VPT-Shallow (arXiv 2203.12119): prompts enter once, before the first block.
model = dict(backbone=dict(prompts=dict(num_prompts=20, kind="shallow")))
