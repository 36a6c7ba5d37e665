# E2VPT (arXiv 2307.13770) before pruning (tools/prune.py);
# SETR-PUP on ViT-L/16, PASCAL Context (59 classes).
_base_ = ["../linear/setr_pup_vitl_pascal_context_59.py"]
model = dict(backbone=dict(prompts=dict(num_prompts=20), adapters=[dict(type="key_value_prompts", num_prompts=5)]))
