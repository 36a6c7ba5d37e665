# SSF (arXiv 2210.08823): a learned scale and shift for every channel after every norm and linear layer.
model = dict(backbone=dict(adapters=[dict(type="ssf")]))
