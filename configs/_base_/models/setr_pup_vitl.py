# SETR-PUP (arXiv 2012.15840) with three auxiliary heads on a frozen ViT-L/16, augreg ImageNet-21k: with 150 classes the
# heads are 13.1M parameters, as DA-VPT's Table 2 counts for linear probing. num_classes belongs to the experiment.
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
        out_indices=(9, 14, 19, 23),
    ),
    decode_head=dict(
        type="SETRUPHead",
        in_channels=1024,
        in_index=3,
        channels=256,
        num_convs=4,
        up_scale=2,
        kernel_size=3,
        dropout_ratio=0,
        norm_cfg=norm_cfg,
        align_corners=False,
        loss_decode=dict(type="CrossEntropyLoss", loss_weight=1.0),
    ),
    auxiliary_head=[
        dict(
            type="SETRUPHead",
            in_channels=1024,
            in_index=index,
            channels=256,
            num_convs=2,
            up_scale=4,
            kernel_size=3,
            dropout_ratio=0,
            norm_cfg=norm_cfg,
            align_corners=False,
            loss_decode=dict(type="CrossEntropyLoss", loss_weight=0.4),
        )
        for index in range(3)
    ],
    train_cfg=dict(),
    test_cfg=dict(mode="slide", crop_size=(512, 512), stride=(341, 341)),
)
