# Adapter (arXiv 1902.00751): a bottleneck after each FFN;
# CamVid in 400 iterations.
_base_ = ["../linear/linear_vits14_camvid_400i.py"]
model = dict(backbone=dict(adapters=[dict(type="adapter", width=64)]))
