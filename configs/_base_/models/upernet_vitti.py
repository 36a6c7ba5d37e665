# A small UPerNet on a frozen tiny ViT with random weights, to try data and commands without a download.
_base_ = ["upernet_vits14.py"]
model = dict(
    backbone=dict(
        model_name="vit_tiny_patch16_224",
        weights=None,
        timm_kwargs=dict(embed_dim=64, depth=4, num_heads=4),
        out_indices=(0, 1, 2, 3),
    ),
    neck=dict(in_channels=[64, 64, 64, 64]),
)
