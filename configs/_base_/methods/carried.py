# Persistent prompts, to join deep prompts: vpt_deep+carried, davpt+carried. Those of the fourth block from the end stay
# in the sequence, where later blocks read their outputs; guidance then guides them.
model = dict(backbone=dict(prompts=dict(carry=-4)))
