# ViT-B/16 pre-trained by MAE (arXiv 2111.06377); the mean of its patch tokens is classified.
# From timm's hub, or the published file:
# --cfg-options model.backbone.pretrained=False model.backbone.weights=mae_pretrain_vit_base.pth
_base_ = "classifier_base.py"
model = dict(
    backbone=dict(model_name="vit_base_patch16_224.mae", pretrained=True, out_type="avg_featmap"),
)
