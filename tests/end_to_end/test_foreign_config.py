"""Another project's config uses us by custom_imports alone, through MMSegmentation's own script."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import mmseg
import pytest

from .test_scripts import run

# Nothing of configs/ or tools/ of ours; davpt_seg is one line.
CONFIG = """
custom_imports = dict(imports=["davpt_seg"], allow_failed_imports=False)
default_scope = "mmseg"
data_root = {root!r}
metainfo = dict(classes=tuple("abcdefghijk"), palette=[[20 * i, 0, 0] for i in range(11)])
pipeline = [dict(type="LoadImageFromFile"), dict(type="LoadAnnotations"), dict(type="PackSegInputs")]
train_dataloader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type="InfiniteSampler", shuffle=True),
    dataset=dict(
        type="BaseSegDataset",
        metainfo=metainfo,
        data_root=data_root,
        data_prefix=dict(img_path="images/train", seg_map_path="annotations/train"),
        pipeline=pipeline,
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
        data_prefix=dict(img_path="images/val", seg_map_path="annotations/val"),
        pipeline=pipeline,
    ),
)
val_evaluator = dict(type="IoUMetric")
train_cfg = dict(type="IterBasedTrainLoop", max_iters=2, val_interval=2)
val_cfg = dict(type="ValLoop")
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="AdamW", lr=1e-3))
default_hooks = dict(
    logger=dict(type="LoggerHook", interval=1, log_metric_by_epoch=False),
    checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=2),
)
log_processor = dict(by_epoch=False)
model = dict(
    type="EncoderDecoder",
    data_preprocessor=dict(type="SegDataPreProcessor", size_divisor=16, pad_val=0, seg_pad_val=255),
    backbone=dict(
        type="PromptedViT",
        model_name="vit_tiny_patch16_224",
        timm_kwargs=dict(depth=2, embed_dim=32, num_heads=2),
        out_indices=(1,),
        prompts=dict(num_prompts=4),
        guidance=dict(num_classes=11, blocks=[1], patch_weight=0.05, cls_weight=0.05),
    ),
    decode_head=dict(
        type="FCNHead",
        in_channels=32,
        in_index=0,
        channels=32,
        num_convs=0,
        concat_input=False,
        num_classes=11,
        norm_cfg=dict(type="BN"),
        align_corners=False,
        loss_decode=dict(type="CrossEntropyLoss"),
    ),
    test_cfg=dict(mode="whole"),
)
custom_hooks = [dict(type="MetricLossHook"), dict(type="PromptMappingHook")]
"""


@pytest.mark.slow
def test_a_config_of_another_project_trains_with_mmsegs_own_script(camvid: Path, tmp_path: Path) -> None:
    config = tmp_path / "theirs.py"
    config.write_text(CONFIG.format(root=str(camvid)))
    script = Path(mmseg.__file__).parent / ".mim" / "tools" / "train.py"
    log = run(sys.executable, str(script), str(config), "--work-dir", str(tmp_path / "work"))
    losses = [float(value) for value in re.findall(r"loss_metric_patch: ([\d.]+)", log)]
    assert len(losses) == 2
    assert min(losses) > 0
    assert "of 11 classes moved" in log  # 11 classes on 4 prompts: the mapping hook clustered them
    assert re.search(r"mIoU: [\d.]+", log)
    assert (tmp_path / "work" / "iter_2.pth").is_file()
