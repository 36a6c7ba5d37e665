# CamVid at 168 x 224, in crops of 112 x 112 for training and testing: a third of the cost of complete images.
_base_ = ["camvid_168x224.py"]
crop_size = (112, 112)
train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadLabelMap"),
    dict(type="CheckLabels", num_classes=11),
    dict(type="Resize", scale=(224, 168), keep_ratio=False),
    dict(type="RandomCrop", crop_size=crop_size),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackSegInputs"),
]
train_dataloader = dict(
    sampler=dict(_delete_=True, type="InfiniteSampler", shuffle=True),
    dataset=dict(
        _delete_=True,
        # Few-shot: --cfg-options train_dataloader.dataset.num_images=40 train_dataloader.dataset.seed=0
        type="RandomSubset",
        num_images=None,
        seed=0,
        dataset=dict(
            type="BaseSegDataset",
            metainfo=_base_.metainfo,
            data_root=_base_.data_root,
            data_prefix=dict(img_path="images/train", seg_map_path="annotations/train"),
            pipeline=train_pipeline,
        ),
    ),
)
val_dataloader = dict(batch_size=8)
test_dataloader = val_dataloader
