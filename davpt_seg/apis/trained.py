"""Trained models of any config of mmseg or mmpretrain."""

from __future__ import annotations

import os
from typing import Union

from mmengine.config import Config
from mmengine.model import BaseModel

from ..experiments.compose import config_of
from ..training.trained_checkpoint import build_trained
from .paths import path_of


def load_trained(
    config: Union[str, os.PathLike[str], Config], checkpoint: Union[str, os.PathLike[str]], name: str = ""
) -> BaseModel:
    """Build a config's model with a checkpoint's weights, on the CPU and in eval mode.

    Args:
        config: what was trained: a file, a name or words, as on the command line, or a ``Config``, which stays as it
            is.
        checkpoint: a ``.pth`` file that ``tools/train.py`` wrote; loaded strictly, and nothing in it is run.
        name: the config's name, for messages; its file by default.

    Raises:
        InputError: a config or checkpoint that cannot be read, a model that cannot be built, or a checkpoint that is
            not of the config.
    """
    file = path_of(checkpoint, "checkpoint (a .pth file)")
    cfg = config if isinstance(config, Config) else config_of(path_of(config, "config"))
    return build_trained(cfg, file, name or str(cfg.filename or "this config"))
