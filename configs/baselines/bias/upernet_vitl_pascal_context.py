# Bias (BitFit): every bias of the ViT is trained, except the last norm's, which no map uses;
# UPerNet on ViT-L/16, PASCAL Context (59 classes and background).
_base_ = ["../linear/upernet_vitl_pascal_context.py"]
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
