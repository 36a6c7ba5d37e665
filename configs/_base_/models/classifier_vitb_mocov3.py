# ViT-B/16 pre-trained by MoCo-v3 (arXiv 2104.02057); its class token is classified. timm has no such weights: get
# https://dl.fbaipublicfiles.com/moco-v3/vit-b-300ep/vit-b-300ep.pth.tar to checkpoints/, or say where: DAVPT_MOCOV3.
model = dict(
    type="ImageClassifier",
    data_preprocessor=dict(
        type="ClsDataPreprocessor", mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True
    ),
    backbone=dict(
        type="PromptedViT",
        model_name="vit_base_patch16_224",
        weights="{{$DAVPT_MOCOV3:checkpoints/vit-b-300ep.pth.tar}}",
        out_type="cls_token",
        out_indices=(11,),
    ),
    head=dict(type="LinearClsHead", in_channels=768, loss=dict(type="CrossEntropyLoss", loss_weight=1.0)),
)
