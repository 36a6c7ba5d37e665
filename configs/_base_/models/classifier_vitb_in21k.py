# ViT-B/16 pre-trained on ImageNet-21k, the original weights, which VPT starts from; its class token is classified.
# From timm's hub, or the published file:
# --cfg-options model.backbone.pretrained=False model.backbone.weights=ViT-B_16.npz
model = dict(
    type="ImageClassifier",
    data_preprocessor=dict(
        type="ClsDataPreprocessor", mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5], to_rgb=True
    ),
    backbone=dict(
        type="PromptedViT",
        model_name="vit_base_patch16_224.orig_in21k",
        pretrained=True,
        out_type="cls_token",
        out_indices=(11,),
    ),
    head=dict(type="LinearClsHead", in_channels=768, loss=dict(type="CrossEntropyLoss", loss_weight=1.0)),
)
