"""Trained model as published: a config and a checkpoint, without the initial weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from safetensors.torch import save_file

from davpt_seg.core.delta import without_frozen
from davpt_seg.training.model import build_model

from .training import tiny_camvid, train


class Trained(NamedTuple):
    """Files of a training."""

    config: str
    checkpoint: str
    data: Path
    weights: str = ""  # of the ViT, where the checkpoint was saved without it

    @property
    def images(self) -> list[str]:
        """Return the validation images."""
        return sorted(map(str, (self.data / "images" / "val").iterdir()))


def tiny_trained(data: Path, folder: Path) -> Trained:
    """Train the tiny experiment, and scale its head, so that predictions have many classes.

    The resulting config has SyncBN and names a weights file that does not exist.
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


def with_model(content: dict[str, Any], cfg: Config) -> None:
    """Give a checkpoint the model of a config, in the places where a config is looked for."""
    for place in (content["meta"], content["message_hub"]["runtime_info"]):
        place["cfg"] += f"\nmodel = {cfg.model.to_dict()!r}\n"


def without_trunk(trained: Trained, folder: Path) -> Trained:
    """Save the same model without its frozen ViT, whose weights are a file that both configs name."""
    content = torch.load(trained.checkpoint)
    weights, start = folder / "vit.safetensors", "backbone.trunk."
    names = [name for name in content["state_dict"] if name.startswith(start)]
    save_file({name.removeprefix(start): content["state_dict"][name] for name in names}, weights)
    cfg = Config.fromfile(trained.config)
    cfg.model.backbone.weights = str(weights)
    cfg.dump(folder / "config.py")
    with_model(content, cfg)
    model = build_model(cfg)
    model.init_weights()
    model.load_state_dict(content["state_dict"])
    without_frozen(model, content["state_dict"])
    torch.save(content, folder / "epoch_1.pth")
    return Trained(str(folder / "config.py"), str(folder / "epoch_1.pth"), trained.data, str(weights))
