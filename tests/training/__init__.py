"""Tiny but complete training runs in this process, on our configs."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner

CONFIGS = Path(__file__).parents[2] / "configs"


def tiny_camvid(data: Path, work_dir: Path, method: str = "davpt", **options: Any) -> Config:
    """Return the CamVid experiment with a ViT of two blocks, an auxiliary head, and one epoch."""
    cfg = Config.fromfile(CONFIGS / method / "linear_vits14_camvid.py")
    timm_kwargs = dict(img_size=56, embed_dim=32, num_heads=2, depth=2)
    cfg.merge_from_dict(
        {
            "model.backbone.weights": None,
            "model.backbone.timm_kwargs": timm_kwargs,
            "model.backbone.out_indices": (0, 1),
            "model.decode_head.in_index": 1,
            "model.decode_head.in_channels": 32,
            "model.decode_head.channels": 32,
            "train_dataloader.batch_size": 2,
            "train_dataloader.dataset.data_root": str(data),
            "val_dataloader.dataset.data_root": str(data),
            "test_dataloader.dataset.data_root": str(data),
            "train_cfg.max_epochs": 1,
            "train_cfg.val_interval": 100,
            "default_hooks.logger.interval": 1,
            "default_hooks.checkpoint.interval": 1,
        }
    )
    if "guidance" in cfg.model.backbone:
        cfg.model.backbone.guidance.blocks = [0, 1]
    cfg.model.auxiliary_head = dict(cfg.model.decode_head, in_index=0)
    cfg.merge_from_dict(options)
    cfg.work_dir = str(work_dir)
    cfg.launcher = "none"
    cfg.visualizer.pop("name")
    cfg.experiment_name = uuid.uuid4().hex  # MMEngine's loggers and visualizers live as long as their name
    return cfg


def by_iterations(cfg: Config, iterations: int) -> Config:
    """Return the same experiment with an iteration-based loop."""
    cfg.train_cfg = dict(type="IterBasedTrainLoop", max_iters=iterations, val_interval=10_000)
    cfg.train_dataloader.sampler = dict(type="InfiniteSampler", shuffle=True)
    cfg.param_scheduler = []
    cfg.default_hooks.checkpoint.update(by_epoch=False, interval=iterations)
    cfg.default_hooks.logger.log_metric_by_epoch = False
    cfg.log_processor.by_epoch = False
    return cfg


def train(cfg: Config) -> Runner:
    """Train a config and return its runner."""
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner


def logged(runner: Runner) -> list[dict[str, float]]:
    """Return the scalars of each logged training iteration."""
    path = Path(runner.log_dir) / "vis_data" / "scalars.json"
    return [row for row in map(json.loads, path.read_text().splitlines()) if "loss" in row]


def config_file(cfg: Config, path: Path) -> str:
    """Write a config to a file, for the command line; each file is an experiment with its own name."""
    cfg = Config(cfg.to_dict())
    cfg.experiment_name = uuid.uuid4().hex
    cfg.pop("launcher", None)
    cfg.dump(path)
    return str(path)
