# SETR-PUP on a frozen DINOv3 ViT-L/16 (arXiv 2508.10104). Maps have its final norm, as its authors' heads read them.
# Weights come from timm's hub (DINOv3's licence), or from a file (docs/weights.md):
# --cfg-options model.backbone.pretrained=False model.backbone.weights=FILE
_base_ = "setr_pup_vitl.py"
data_preprocessor = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])
model = dict(
    data_preprocessor=data_preprocessor,
    backbone=dict(model_name="vit_large_patch16_dinov3.lvd1689m", norm_maps=True),
)
