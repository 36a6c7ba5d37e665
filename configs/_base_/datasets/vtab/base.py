# VTAB-1k (arXiv 1910.04867): images resized straight to a square, without augmentation, as VPT does (arXiv 2203.12119).
# VTAB_ROOT may name the folder of the sets' folders. Choose on val200; split=final trains on both and tests.
splits = dict(
    choose=dict(train="train800", val="val200", test="val200"),
    final=dict(train="train800val200", val=None, test="test"),
)
pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(224, 224), keep_ratio=False, backend="pillow"),
    dict(type="PackInputs"),
]
dataset = dict(type="VTABDataset", data_root="{{$VTAB_ROOT:data/vtab-1k}}", pipeline=pipeline)
train_dataloader = dict(
    batch_size=32,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(dataset, split="train800"),
)
val_dataloader = dict(
    batch_size=64,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(dataset, split="val200"),
)
test_dataloader = val_dataloader
val_evaluator = dict(type="Accuracy", topk=(1,))
test_evaluator = val_evaluator
