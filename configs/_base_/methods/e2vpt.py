# E2VPT (arXiv 2307.13770) before pruning: deep prompts, and learned keys and values in every head of every block.
# The same number of prompts in each block, because tools/prune.py removes the same ones in all blocks.
model = dict(backbone=dict(prompts=dict(num_prompts=20), adapters=[dict(type="key_value_prompts", num_prompts=5)]))
