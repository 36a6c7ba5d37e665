# ViT-B/16 pre-trained by MAE (arXiv 2111.06377); the mean of its patch tokens is classified.
# From timm's hub, or the published file:
# --cfg-options model.backbone.pretrained=False model.backbone.weights=mae_pretrain_vit_base.pth
model = dict(
    type="ImageClassifier",
    data_preprocessor=dict(
        type="ClsDataPreprocessor", mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True
    ),
    backbone=dict(
        type="PromptedViT",
        model_name="vit_base_patch16_224.mae",
        pretrained=True,
        out_type="avg_featmap",
        out_indices=(11,),
    ),
    head=dict(type="LinearClsHead", in_channels=768, loss=dict(type="CrossEntropyLoss", loss_weight=1.0)),
)
