# DA-VPT+: DA-VPT with efficient bias (Sec. 3.5).
_base_ = ["upernet_vitl_pascal_context_59.py"]
model = dict(
    backbone=dict(
        # The key bias has a zero gradient (softmax cancels it); it is here because the paper names it.
        tuned=["blocks.*.attn.key_bias", "blocks.*.attn.value_bias"],
    )
)
