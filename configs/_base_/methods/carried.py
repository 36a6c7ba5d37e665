# Persistent prompts: those of the fourth block from the end stay in the sequence (vpt_deep+carried, davpt+carried).
# Later blocks read their outputs, and guidance guides them.
model = dict(backbone=dict(prompts=dict(carry=-4)))
