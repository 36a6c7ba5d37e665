# AdaptFormer (arXiv 2205.13535): a bottleneck beside the FFN of every block, scaled by 0.1.
model = dict(backbone=dict(adapters=[dict(type="adaptformer", width=64)]))
