# LoRA (arXiv 2106.09685) on queries, keys and values.
model = dict(backbone=dict(adapters=[dict(type="lora", rank=8)]))
