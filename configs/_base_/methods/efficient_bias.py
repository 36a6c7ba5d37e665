# Efficient bias (DA-VPT, arXiv 2505.23694, Sec. 3.5): the biases of the key and value projections. Joins any method.
# The key bias has a zero gradient (softmax cancels it), except with E2VPT's key-value prompts; the paper names it.
model = dict(backbone=dict(tuned=["blocks.*.attn.key_bias", "blocks.*.attn.value_bias"]))
