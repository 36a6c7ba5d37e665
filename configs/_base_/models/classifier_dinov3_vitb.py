# DINOv3 ViT-B/16 (arXiv 2508.10104); its class token is classified. From timm's hub (DINOv3's licence), or a file:
# --cfg-options model.backbone.pretrained=False model.backbone.weights=dinov3_vitb16_pretrain_lvd1689m-73cec8be.pth
_base_ = "classifier_base.py"
model = dict(backbone=dict(model_name="vit_base_patch16_dinov3.lvd1689m", pretrained=True))
