"""Tiny segmentors and classifiers for export, with weights large enough to matter."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from mmengine.config import Config
from mmengine.model import BaseModel

from davpt_seg.export.job import Choices, ExportJob
from davpt_seg.training.model import build_model
from davpt_seg.training.tasks import task_of

from ..training import CONFIGS

VIT = dict(img_size=32, patch_size=8, embed_dim=32, depth=2, num_heads=4)
ANY_SIZE = Choices()
META = dict(classes=("a", "b"), palette=[[1, 2, 3], [4, 5, 6]])
HEADS = {"linear": "linear_vits14", "upernet": "upernet_vits14", "setr_pup": "setr_pup_vitl"}


def segmentor(head: str = "linear", backbone: Any = None, classes: int = 5, **changes: Any) -> BaseModel:
    """A segmentor of our config of a head on a ViT of two blocks, tested on complete images.

    Args:
        head: a key of ``HEADS``.
        backbone: changes of the backbone.
        classes: number of logits.
        changes: of the model, dotted keys with __ in place of dots.
    """
    cfg = Config.fromfile(CONFIGS / "_base_" / "models" / f"{HEADS[head]}.py")
    model = cfg.model
    model.backbone.update(_vit(backbone), out_indices=[1] if head == "linear" else [0, 0, 1, 1])
    if head == "upernet":
        model.neck.update(in_channels=[32] * 4, out_channels=8)
        model.decode_head.update(in_channels=[8] * 4, channels=8)
    else:
        model.decode_head.update(in_channels=32, channels=32 if head == "linear" else 8)
    model.decode_head.num_classes = max(classes, 2)
    model.decode_head.out_channels = classes
    if classes == 1:
        model.decode_head.loss_decode.use_sigmoid = True
    model.auxiliary_head = None
    model.test_cfg = dict(mode="whole")
    cfg.merge_from_dict({f"model.{key.replace('__', '.')}": value for key, value in changes.items()})
    return _built(cfg)


def classifier(backbone: Any = None, **changes: Any) -> BaseModel:
    """A classifier on a ViT of two blocks."""
    cfg = Config.fromfile(CONFIGS / "_base_" / "models" / "classifier_base.py")
    cfg.default_scope = "mmpretrain"
    cfg.model.backbone.update(_vit(backbone), out_indices=(1,))
    cfg.model.head.update(num_classes=5, in_channels=32)
    cfg.merge_from_dict({f"model.{key.replace('__', '.')}": value for key, value in changes.items()})
    return _built(cfg)


def _vit(backbone: Any) -> dict[str, Any]:
    made = dict(model_name="vit_tiny_patch16_224", weights=None, pretrained=False, timm_kwargs=VIT)
    return {**made, **(backbone or {})}


def _built(cfg: Config) -> BaseModel:
    generator = torch.Generator().manual_seed(0)
    model = build_model(cfg)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.copy_(torch.randn(module.running_mean.shape, generator=generator))
    return model.eval()


def checkpoint_of(model: BaseModel, path: Path) -> str:
    """Write a model as a checkpoint that contains its config, as training does."""
    meta = dict(cfg=model.cfg.pretty_text, dataset_meta=META)
    torch.save(dict(state_dict=model.state_dict(), meta=meta), path)
    return str(path)


def job_of(model: BaseModel, choices: Choices = ANY_SIZE) -> ExportJob:
    """Export a model that was built here, as if a checkpoint held it."""
    meta = dict(dataset_meta=META)
    trained: Any = SimpleNamespace(
        path="iter_1.pth", content=dict(meta=meta), cfg=model.cfg, task=task_of(model.cfg), build=lambda: model
    )
    return ExportJob(trained, choices)
