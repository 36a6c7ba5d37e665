# SSF (arXiv 2210.08823): every channel scaled and shifted;
# CamVid in 400 iterations.
_base_ = ["../linear/linear_vits14_camvid_400i.py"]
model = dict(backbone=dict(adapters=[dict(type="ssf")]))
