# Zero-start prompts, to join deep prompts: vpt_deep+zero_start, davpt+zero_start, e2vpt+zero_start. The prompts have a
# separate softmax, whose values are differences to the initial ones: training starts from the pre-trained ViT.
model = dict(backbone=dict(prompts=dict(start="offset")))
