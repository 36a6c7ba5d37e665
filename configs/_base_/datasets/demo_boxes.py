# The pieces of the demo's scenes (demo_scenes.py) as objects: 240 training and 60 validation images of 168 x 224, two
# to four objects in each, ten classes. Boxes and masks are exact; a piece that others hide is not annotated.
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
num_classes = 10
train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations", with_bbox=True, with_mask=True),
    dict(type="Resize", scale=(224, 224), keep_ratio=True),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackDetInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(224, 224), keep_ratio=True),
    dict(type="LoadAnnotations", with_bbox=True, with_mask=True),
    dict(type="PackDetInputs", meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor", "instances")),
]
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    sampler=dict(type="InfiniteSampler", shuffle=True),
    dataset=dict(
        type="CocoDataset",
        metainfo=metainfo,
        data_root=data_root,
        ann_file="annotations/training.json",
        data_prefix=dict(img="images/training/"),
        filter_cfg=dict(filter_empty_gt=True),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=4,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="CocoDataset",
        metainfo=metainfo,
        data_root=data_root,
        ann_file="annotations/validation.json",
        data_prefix=dict(img="images/validation/"),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type="CocoMetric", ann_file=data_root + "/annotations/validation.json", metric=["bbox"])
test_evaluator = val_evaluator
