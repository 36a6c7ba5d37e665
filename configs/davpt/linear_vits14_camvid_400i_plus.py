# DA-VPT+: DA-VPT with efficient bias (Sec. 3.5).
_base_ = ["linear_vits14_camvid_400i.py"]
model = dict(
    backbone=dict(
        # The key bias has a zero gradient (softmax cancels it); it is here because the paper names it.
        tuned=["blocks.*.attn.key_bias", "blocks.*.attn.value_bias"],
    )
)
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={"backbone": dict(lr_mult=1.0)}))
