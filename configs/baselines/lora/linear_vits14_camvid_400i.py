# LoRA (arXiv 2106.09685) on queries, keys and values;
# CamVid in 400 iterations.
_base_ = ["../linear/linear_vits14_camvid_400i.py"]
model = dict(backbone=dict(adapters=[dict(type="lora", rank=8)]))
