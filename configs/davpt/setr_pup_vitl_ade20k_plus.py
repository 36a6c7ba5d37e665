# DA-VPT+: DA-VPT with efficient bias (Sec. 3.5).
_base_ = ["setr_pup_vitl_ade20k.py"]
model = dict(
    backbone=dict(
        # The key bias has a zero gradient (softmax cancels it); it is here because the paper names it.
        tuned=["blocks.*.attn.key_bias", "blocks.*.attn.value_bias"],
    )
)
