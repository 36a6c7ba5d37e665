# UPerNet on a frozen ViT-L/16, augreg ImageNet-21k. num_classes belongs to the experiment.
norm_cfg = dict(type="SyncBN", requires_grad=True)  # plain BN on CPU or one process (tools/train.py says so)
data_preprocessor = dict(
    type="SegDataPreProcessor",
    # augreg weights need images in [-1, 1], not ImageNet's mean and standard deviation
    mean=[127.5, 127.5, 127.5],
    std=[127.5, 127.5, 127.5],
    bgr_to_rgb=True,
    pad_val=0,
    seg_pad_val=255,
    size=(512, 512),
)
model = dict(
    type="EncoderDecoder",
    data_preprocessor=data_preprocessor,
    backbone=dict(
        type="PromptedViT",
        model_name="vit_large_patch16_224.augreg_in21k",
        pretrained=True,
        out_indices=(5, 11, 17, 23),
    ),
    neck=dict(
        type="MultiLevelNeck",
        in_channels=[1024, 1024, 1024, 1024],
        out_channels=512,
        scales=[4, 2, 1, 0.5],
    ),
    decode_head=dict(
        type="UPerHead",
        in_channels=[512, 512, 512, 512],
        in_index=[0, 1, 2, 3],
        pool_scales=(1, 2, 3, 6),
        channels=512,
        dropout_ratio=0.1,
        norm_cfg=norm_cfg,
        align_corners=False,
        loss_decode=dict(type="CrossEntropyLoss", loss_weight=1.0),
    ),
    auxiliary_head=dict(
        type="FCNHead",
        in_channels=512,
        in_index=2,
        channels=256,
        num_convs=1,
        concat_input=False,
        dropout_ratio=0.1,
        norm_cfg=norm_cfg,
        align_corners=False,
        loss_decode=dict(type="CrossEntropyLoss", loss_weight=0.4),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode="slide", crop_size=(512, 512), stride=(341, 341)),
)
