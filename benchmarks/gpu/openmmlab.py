"""The complete training step of two released configs, split into data, trunk, head and guidance; needs OpenMMLab."""

from __future__ import annotations

import argparse
import importlib.util
import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from measuring import peak, timed
from torch import Tensor

from .report import MEASURED, Found, Report, Skip
from .scale import TINY, Scale
from .task import total

PART = "speed"
CONFIGS = Path(__file__).parents[2] / "configs" / "davpt"
NAMES = ("upernet_vitl_ade20k", "setr_pup_vitl_ade20k")
SIZE, BATCH, NUM_CLASSES = 512, 2, 150  # images per GPU, as in the released schedule


def config(name: str, scale: Scale) -> Any:
    """Read a config for one process and random weights; in the smoke form with a tiny trunk.

    Raises:
        Skip: OpenMMLab or the config is not here.
    """
    if not all(map(importlib.util.find_spec, ("mmengine", "mmcv", "mmseg"))):
        raise Skip("OpenMMLab is not installed")
    if not (CONFIGS / f"{name}.py").is_file():
        raise Skip(f"no configs here: {CONFIGS}")
    from mmengine.config import Config

    from davpt_seg.compat import replace_sync_bn

    cfg = Config.fromfile(CONFIGS / f"{name}.py")
    replace_sync_bn(cfg.model)
    cfg.model.backbone.pretrained = False
    if scale.smoke:
        width = TINY["embed_dim"]
        cfg.model.backbone.update(timm_kwargs=TINY, out_indices=(0, 0, 1, 1))
        cfg.model.backbone.prompts.num_prompts = 4
        cfg.model.data_preprocessor.size = (64, 64)
        heads = [cfg.model.decode_head, *_listed(cfg.model.auxiliary_head)]
        if "neck" in cfg.model:
            cfg.model.neck.update(in_channels=[width] * 4, out_channels=width)
        for head in heads:
            head.update(in_channels=[width] * 4 if head.type == "UPerHead" else width, channels=width)
    return cfg


class Step:
    """A config's model with a synthetic batch, and the parts of its training step.

    Args:
        name: the config's.
        scale: what runs.
    """

    def __init__(self, name: str, scale: Scale) -> None:
        cfg = config(name, scale)
        from mmengine.registry import MODELS, init_default_scope
        from mmengine.structures import PixelData
        from mmseg.structures import SegDataSample

        init_default_scope(cfg.default_scope)
        torch.manual_seed(0)
        self.scale = scale
        self.model = MODELS.build(cfg.model).to(scale.device).train()
        size = (64, 64) if scale.smoke else (SIZE, SIZE)
        samples = []
        for _ in range(BATCH):
            label = torch.randint(NUM_CLASSES, (1, size[0] // 32, size[1] // 32))
            label = label.repeat_interleave(32, 1).repeat_interleave(32, 2)
            samples.append(SegDataSample(gt_sem_seg=PixelData(data=label), metainfo=dict(img_shape=size)))
        images = [torch.randint(256, (3, *size), dtype=torch.uint8) for _ in range(BATCH)]
        self.raw = dict(inputs=images, data_samples=samples)
        self.optimizer = torch.optim.SGD([p for p in self.model.parameters() if p.requires_grad], lr=1e-3)

    def autocast(self) -> torch.autocast:
        """Return the mixed precision that all parts run in."""
        return torch.autocast(self.scale.device.type, self.scale.half)

    def data(self) -> Any:
        """Normalise and stack the batch, and move it to the device."""
        return self.model.data_preprocessor(self.raw, True)

    def head_loss(self, maps: tuple[Tensor, ...], samples: list[Any]) -> Tensor:
        """Return the loss of neck, head and auxiliary heads."""
        model = self.model
        if model.with_neck:
            maps = model.neck(maps)
        heads = [model.decode_head, *(_listed(model.auxiliary_head) if model.with_auxiliary_head else ())]
        losses = [head.loss(maps, samples, model.train_cfg) for head in heads]
        return total({f"{i}.{key}": one for i, each in enumerate(losses) for key, one in each.items() if "loss" in key})

    def guidance_loss(self, records: Any, samples: list[Any]) -> Tensor:
        """Return the metric losses."""
        labels = torch.stack([one.gt_sem_seg.data[0] for one in samples])
        return total(self.model.backbone.guidance(records, labels))

    def complete(self) -> None:
        """Run the complete step: data, forward pass, all losses, backward pass, optimizer."""
        batch = self.data()
        with self.autocast():
            maps = self.model.backbone(batch["inputs"])
            loss = self.head_loss(maps, batch["data_samples"])
            loss = loss + self.guidance_loss(self.model.backbone.take_records(), batch["data_samples"])
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

    def parts(self) -> dict[str, Callable[[], Any]]:
        """Return calls that run one part each, forward and backward."""
        batch = self.data()
        samples = batch["data_samples"]
        with self.autocast():
            maps = tuple(one.detach().requires_grad_() for one in self.model.backbone(batch["inputs"]))
        records = [_detached(record) for record in self.model.backbone.take_records()]

        def trunk() -> None:
            with self.autocast():
                found = self.model.backbone(batch["inputs"])
            self.model.backbone.take_records()
            torch.autograd.backward(found, [torch.ones_like(one) for one in found])

        def head() -> None:
            with self.autocast():
                loss = self.head_loss(maps, samples)
            loss.backward()

        def guidance() -> None:
            with self.autocast():
                loss = self.guidance_loss(records, samples)
            loss.backward()

        return {"data": self.data, "trunk": trunk, "head": head, "guidance": guidance, "complete step": self.complete}


def _listed(heads: Any) -> list[Any]:
    return list(heads) if isinstance(heads, (list, tuple, torch.nn.ModuleList)) else [heads]


def _detached(record: Any) -> Any:
    return record._replace(
        **{
            name: value.detach().requires_grad_()
            for name, value in record._asdict().items()
            if isinstance(value, Tensor)
        }
    )


def line(name: str, scale: Scale) -> Found:
    """Time the parts of a config's training step in turns."""
    step = Step(name, scale)
    options = argparse.Namespace(device=scale.device, threads=0)
    calls = step.parts()
    seconds: dict[str, list[float]] = {}
    for i in range(scale.warmup + scale.rounds):
        for part, call in calls.items():
            needed = timed(call, options)
            if i >= scale.warmup:
                seconds.setdefault(part, []).append(needed)
    median = {part: 1000 * statistics.median(one) for part, one in seconds.items()}
    detail = ", ".join(f"{part} {value:.1f}" for part, value in median.items()) + " ms"
    figures: dict[str, Any] = dict(seconds=seconds, milliseconds=median)
    if scale.cuda:
        figures["mebibytes"] = peak(step.complete, scale.device) / 2**20
        detail += f", {figures['mebibytes']:,.0f} MiB"
    return Found(MEASURED, detail, figures)


def run(report: Report, scale: Scale) -> None:
    """Measure both configs."""
    for name in NAMES:
        report.attempt(PART, f"config: {name}", partial(line, name, scale))
