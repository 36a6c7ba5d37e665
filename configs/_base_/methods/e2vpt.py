# E2VPT (arXiv 2307.13770) before pruning: deep prompts, and learned keys and values in every head of every block.
# As many prompts in each block, for tools/prune.py removes the same ones in all.
model = dict(backbone=dict(prompts=dict(num_prompts=20), adapters=[dict(type="key_value_prompts", num_prompts=5)]))
