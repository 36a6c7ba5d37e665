# Adapter (Houlsby et al., arXiv 1902.00751, as VPT compares with it): a bottleneck after the FFN of every block.
model = dict(backbone=dict(adapters=[dict(type="adapter", width=64)]))
