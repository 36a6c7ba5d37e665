"""A checkpoint and the config that it was trained with: read first, changed by options, then built."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Optional, Union

from mmengine.config import Config
from mmengine.model import BaseModel

from ..core.record import records_in
from ..errors import InputError
from ..experiments.compose import config_of
from ..trust.config_check import without_sources
from ..trust.trunk_source import use_source
from .model import build_model
from .refusals import step
from .tasks import SEGMENTATION, refuse_other, task_of
from .trained_checkpoint import embedded_config, load_strictly, read_checkpoint


class TrainedModel:
    """A trained model before it is built.

    Args:
        checkpoint: a ``.pth`` file that ``tools/train.py`` wrote.
        config: what was trained: a file, a name or words, as on the command line, or a ``Config``, which is changed in
            place; by default what the checkpoint remembers.
        trust_config: run the config inside the checkpoint as Python and import what it names.
        tasks: tasks whose models are taken; others are refused.
        trunk: for a checkpoint that was saved without its frozen ViT, the ViT's weights file, or ``pretrained`` for
            timm's own weights; by default what the config names.

    Attributes:
        path: the checkpoint's file.
        content: what it holds.
        cfg: config of the model; change it before :meth:`build`.
        origin: where the config is from, for messages.

    Raises:
        InputError: a config or checkpoint that cannot be read, a config without a model, or one of another task.
    """

    def __init__(
        self,
        checkpoint: Union[str, os.PathLike[str]],
        config: Optional[Union[str, os.PathLike[str], Config]] = None,
        trust_config: bool = False,
        tasks: Sequence[str] = (SEGMENTATION,),
        trunk: Any = None,
    ) -> None:
        self._trunk, self._trusted = trunk, config is not None or trust_config
        self.path = os.fspath(checkpoint)
        self.content = read_checkpoint(self.path)
        self._name = str(getattr(config, "filename", config) or "the config inside it")
        if config is None:
            config = embedded = embedded_config(self.content, self.path, trust_config, tasks)
            without_sources(embedded._cfg_dict)  # weights come from the checkpoint
        self.cfg = config if isinstance(config, Config) else config_of(config)
        inside = self._name == "the config inside it"
        self.origin = f"the config inside checkpoint {self.path!r}" if inside else self._name
        if not isinstance(self.cfg.get("model"), dict):
            raise InputError(f"{self.origin} has no model, which must be a dict with a type")
        refuse_other(task_of(self.cfg), tasks, f"checkpoint {self.path!r}")

    @property
    def task(self) -> str:
        """Task of the model."""
        return task_of(self.cfg)

    def build(self) -> BaseModel:
        """Return the model with the checkpoint's weights, on the CPU and in eval mode.

        Raises:
            InputError: the model cannot be built, the checkpoint is not of the config, or it was trained on another
                ViT.
        """
        use_source(self.cfg, records_in(self.content["state_dict"]), self.path, self._trunk, self._trusted)
        with step(f"the model of {self.origin} cannot be built (model)"):
            model = build_model(self.cfg)
        load_strictly(model, self.content, self.path, self._name)
        return model.eval()
