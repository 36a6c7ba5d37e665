# A linear classifier of a frozen ViT's class token, with ImageNet's normalisation. Each trunk sets differences.
model = dict(
    type="ImageClassifier",
    data_preprocessor=dict(
        type="ClsDataPreprocessor", mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True
    ),
    backbone=dict(type="PromptedViT", out_type="cls_token", out_indices=(11,)),
    head=dict(type="LinearClsHead", in_channels=768, loss=dict(type="CrossEntropyLoss", loss_weight=1.0)),
)
