# DA-VPT whose prompts start as the pre-trained ViT, by a softmax of their own;
# SETR-PUP on ViT-L/16, ADE20K.
_base_ = ["../../davpt/setr_pup_vitl_ade20k.py"]
model = dict(backbone=dict(prompts=dict(start="offset")))
