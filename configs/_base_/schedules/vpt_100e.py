# The recipe of VPT (arXiv 2203.12119): SGD with momentum, 100 epochs with 10 of warm-up, cosine, batches of 128.
# Set the rate yourself (lr=...): VPT searches for it, task by task.
_base_ = "davpt_100e.py"
train_dataloader = dict(batch_size=128, sampler=dict(_delete_=True, type="DefaultSampler", shuffle=True))
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type="SGD", lr=0.0, momentum=0.9, weight_decay=1e-4),
    clip_grad=None,
)
