# AdaptFormer (arXiv 2205.13535): a bottleneck beside each FFN;
# CamVid in 400 iterations.
_base_ = ["../linear/linear_vits14_camvid_400i.py"]
model = dict(backbone=dict(adapters=[dict(type="adaptformer", width=64)]))
