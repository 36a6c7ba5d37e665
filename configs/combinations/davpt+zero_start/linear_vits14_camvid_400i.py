# DA-VPT whose prompts start as the pre-trained ViT, by a softmax of their own;
# CamVid in 400 iterations.
_base_ = ["../../davpt/linear_vits14_camvid_400i.py"]
model = dict(backbone=dict(prompts=dict(start="offset")))
# 1e-3 for what is learned in the ViT: these prompts learn best at 1e-3 to 4e-3, see docs/methods.md.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={"backbone": dict(lr_mult=0.0625)}))
