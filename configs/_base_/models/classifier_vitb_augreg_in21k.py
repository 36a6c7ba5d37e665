# ViT-B/16 pre-trained on ImageNet-21k by "How to train your ViT" (arXiv 2106.10270), from which DA-VPT's released
# configs start; its class token is classified. From timm's hub, or the published file:
# --cfg-options model.backbone.pretrained=False model.backbone.weights=FILE.npz (docs/weights.md has its name)
_base_ = "classifier_base.py"
model = dict(
    data_preprocessor=dict(mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5]),
    backbone=dict(model_name="vit_base_patch16_224.augreg_in21k", pretrained=True),
)
