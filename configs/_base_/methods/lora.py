# LoRA (arXiv 2106.09685) on queries, keys and values, through the peft library.
model = dict(backbone=dict(adapters=[dict(type="lora", rank=8)]))
