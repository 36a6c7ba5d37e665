# Real photographs pasted onto each other (tools/dataset_converters/demo_scenes.py draws them): 240 training and
# 60 validation scenes of 168 x 224, ten classes, every pixel labelled.
data_root = "{{$DEMO_SCENES_ROOT:data/demo_scenes}}"
metainfo = dict(
    classes=(
        "brick", "cat", "grass", "galaxies", "motorcycle", "retina", "rocket", "tissue", "temple", "flower",
    ),
    palette=[
        [128, 78, 40], [245, 200, 66], [0, 150, 80], [20, 20, 90], [230, 25, 75],
        [255, 120, 90], [90, 160, 230], [190, 130, 255], [145, 30, 180], [250, 130, 200],
    ],
)  # fmt: skip
train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadLabelMap"),
    dict(type="CheckLabels", num_classes=10),
    dict(type="PackSegInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadLabelMap"),
    dict(type="CheckLabels", num_classes=10),
    dict(type="PackSegInputs"),
]
train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type="InfiniteSampler", shuffle=True),
    dataset=dict(
        type="BaseSegDataset",
        metainfo=metainfo,
        data_root=data_root,
        data_prefix=dict(img_path="images/training", seg_map_path="annotations/training"),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="BaseSegDataset",
        metainfo=metainfo,
        data_root=data_root,
        data_prefix=dict(img_path="images/validation", seg_map_path="annotations/validation"),
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type="IoUMetric", iou_metrics=["mIoU"])
test_evaluator = val_evaluator
