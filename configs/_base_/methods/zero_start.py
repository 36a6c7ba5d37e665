# Zero-start prompts, with a separate softmax: training starts as the pre-trained ViT (vpt_deep+zero_start). The softmax
# weighs differences to the initial values. Joins deep prompts: davpt+zero_start, e2vpt+zero_start.
model = dict(backbone=dict(prompts=dict(start="offset")))
