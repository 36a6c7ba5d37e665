# A linear classifier on a frozen tiny ViT with random weights, to try data and commands without a download.
_base_ = "classifier_base.py"
model = dict(
    backbone=dict(
        model_name="vit_tiny_patch16_224",
        weights=None,
        timm_kwargs=dict(embed_dim=64, depth=4, num_heads=4),
        out_indices=(3,),
    ),
    head=dict(in_channels=64),
)
