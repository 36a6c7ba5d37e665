"""A trained model as a stranger gets it: a config and a checkpoint, without the weights that training began with."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from mmengine.config import Config

from .training import tiny_camvid, train


class Trained(NamedTuple):
    """What a training left behind."""

    config: str
    checkpoint: str
    data: Path

    @property
    def images(self) -> list[str]:
        """The validation images."""
        return sorted(map(str, (self.data / "images" / "val").iterdir()))


def tiny_trained(data: Path, folder: Path) -> Trained:
    """Train the tiny experiment, and make its head sure of itself, so that predictions have many classes.

    The config that is left has SyncBN and names a weights file that nobody has.
    """
    options = {"model.decode_head.num_convs": 1, "model.decode_head.norm_cfg": dict(type="BN", requires_grad=True)}
    cfg = tiny_camvid(data, folder / "work", **options)
    train(cfg)
    checkpoint = folder / "work" / "epoch_1.pth"
    content = torch.load(checkpoint)
    head = content["state_dict"]["decode_head.conv_seg.weight"]
    content["state_dict"]["decode_head.conv_seg.weight"] = 3 * torch.randn(
        head.shape, generator=torch.Generator().manual_seed(0)
    )
    torch.save(content, checkpoint)
    cfg = Config(cfg.to_dict())
    cfg.model.backbone.weights = "/nowhere/vit.safetensors"
    cfg.model.decode_head.norm_cfg.type = "SyncBN"
    cfg.pop("experiment_name")
    cfg.dump(folder / "config.py")
    return Trained(str(folder / "config.py"), str(checkpoint), data)
