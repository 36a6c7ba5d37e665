# SSF (arXiv 2210.08823): a learned scale and shift for every channel after every norm and linear layer.
model = dict(backbone=dict(adapters=[dict(type="ssf")]))
find_unused_parameters = True  # those of the ViT's last norm make no map, and distributed training must be told so
