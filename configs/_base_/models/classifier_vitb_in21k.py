# ViT-B/16 pre-trained on ImageNet-21k, the original weights, which VPT starts from; its class token is classified.
# From timm's hub, or the published file:
# --cfg-options model.backbone.pretrained=False model.backbone.weights=ViT-B_16.npz
_base_ = "classifier_base.py"
model = dict(
    data_preprocessor=dict(mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5]),
    backbone=dict(model_name="vit_base_patch16_224.orig_in21k", pretrained=True),
)
