# DA-VPT+: DA-VPT with efficient bias (Sec. 3.5).
_base_ = "davpt.py"
# The key bias has a zero gradient (softmax cancels it); it is here because the paper names it.
model = dict(backbone=dict(tuned=["blocks.*.attn.key_bias", "blocks.*.attn.value_bias"]))
