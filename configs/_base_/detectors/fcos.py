# FCOS (arXiv 1904.01355), a detector without anchors and proposals, on ViTDet's simple feature pyramid.
# The trunk comes from upernet_TRUNK.py. Strides are those of patches of 16 pixels; others are scaled to the trunk's.
model = dict(
    type="FCOS",
    neck=dict(type="SimpleFeaturePyramid", in_channels=1024, out_channels=256, scales=(2, 1, 0.5), num_extra=2),
    bbox_head=dict(
        type="FCOSHead",
        num_classes=80,
        in_channels=256,
        stacked_convs=4,
        feat_channels=256,
        strides=[8, 16, 32, 64, 128],
        regress_ranges=((-1, 64), (64, 128), (128, 256), (256, 512), (512, 1e8)),
        norm_on_bbox=True,
        centerness_on_reg=True,
        center_sampling=True,
        conv_bias=True,
        loss_cls=dict(type="FocalLoss", use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=1.0),
        loss_bbox=dict(type="GIoULoss", loss_weight=1.0),
        loss_centerness=dict(type="CrossEntropyLoss", use_sigmoid=True, loss_weight=1.0),
    ),
    test_cfg=dict(
        nms_pre=1000, min_bbox_size=0, score_thr=0.05, nms=dict(type="nms", iou_threshold=0.6), max_per_img=100
    ),
)
