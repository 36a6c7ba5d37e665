# GateVPT (arXiv 2306.05067): prompts enter once and pass a learned gate after each block; attention has temperatures.
model = dict(backbone=dict(prompts=dict(num_prompts=20, kind="gated")))
