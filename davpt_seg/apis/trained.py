"""Trained models of any config of mmseg or mmpretrain."""

from __future__ import annotations

from typing import Union

from mmengine.config import Config
from mmengine.model import BaseModel

from ..training.model import build_model
from ..training.trained_checkpoint import load_strictly, read_checkpoint


def load_trained(config: Union[str, Config], checkpoint: str, name: str = "") -> BaseModel:
    """Build a config's model with a checkpoint's weights, on the CPU and in eval mode.

    Args:
        config: what was trained, a file or a ``Config``, which stays as it is. :func:`compose` makes one of words.
        checkpoint: a ``.pth`` file that ``tools/train.py`` wrote; loaded strictly, and nothing in it is run.
        name: of the config, for messages; its file by default.

    Raises:
        InputError: a checkpoint that cannot be read or is not of the config.
    """
    cfg = config if isinstance(config, Config) else Config.fromfile(config)
    loaded = read_checkpoint(checkpoint)
    model = build_model(cfg)
    load_strictly(model, loaded, checkpoint, name or cfg.filename or "this config")
    return model.eval()
