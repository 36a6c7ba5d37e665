# Bias (BitFit): every bias of the ViT is trained, except the last norm's, which no map uses;
# SETR-PUP on ViT-L/16, PASCAL Context (59 classes).
_base_ = ["../linear/setr_pup_vitl_pascal_context_59.py"]
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
