# Bias (BitFit, arXiv 2106.10199): every bias of the ViT is trained, except the last norm's, which no map uses.
model = dict(
    backbone=dict(
        tuned=[
            "patch_embed.proj.bias",
            "blocks.*.norm1.bias",
            "blocks.*.attn.qkv.bias",
            "blocks.*.attn.proj.bias",
            "blocks.*.norm2.bias",
            "blocks.*.mlp.fc1.bias",
            "blocks.*.mlp.fc2.bias",
        ]
    )
)
