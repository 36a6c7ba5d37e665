# A linear classifier of patches on a frozen tiny ViT with random weights, to try data and commands without a download.
_base_ = ["linear_vits14.py"]
model = dict(
    backbone=dict(
        model_name="vit_tiny_patch16_224",
        weights=None,
        timm_kwargs=dict(embed_dim=64, depth=4, num_heads=4),
        out_indices=(3,),
    ),
    decode_head=dict(in_channels=64, channels=64),
)
