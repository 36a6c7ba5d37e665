"""MMEngine's Weights & Biases backend, with the iteration of each value and without uploading source files."""

from __future__ import annotations

from typing import Any, Optional

import numpy as np
from mmengine.config import Config
from mmengine.registry import VISBACKENDS
from mmengine.visualization import WandbVisBackend
from mmengine.visualization.vis_backend import force_init_env

from ..errors import InputError

ITERATION = "iteration"  # axis of all curves


@VISBACKENDS.register_module()
class WandbBackend(WandbVisBackend):
    """Write scalars, images and the config of a training to a W&B run.

    MMEngine's backend ignores the step of a value, and uploads every Python file below the current folder. This one
    does not. Curves have the training iteration as their axis, so a resumed run continues them.

    Args:
        save_dir: folder of W&B's files; ``wandb`` is created in it.
        init_kwargs: arguments of ``wandb.init``.
    """

    def __init__(self, save_dir: str, init_kwargs: Optional[dict[str, Any]] = None) -> None:
        axis = [dict(name=ITERATION, hidden=True), dict(name="*", step_metric=ITERATION)]
        super().__init__(save_dir, init_kwargs, define_metric_cfg=axis)

    def _init_env(self) -> None:
        import wandb

        try:
            super()._init_env()
        except wandb.errors.Error as error:
            reason = " ".join(str(error).split())
            raise InputError(
                f"--wandb: W&B cannot be used ({reason}). Set WANDB_MODE=offline to write to the work dir, and upload "
                "later by 'wandb sync', or omit --wandb"
            ) from error

    @force_init_env
    def add_config(self, config: Config, **kwargs: Any) -> None:
        """Record the config."""
        self._wandb.config.update(config.to_dict(), allow_val_change=True)  # a resumed run has one

    @force_init_env
    def add_image(self, name: str, image: np.ndarray, step: int = 0, **kwargs: Any) -> None:
        """Record an RGB image (H, W, 3) at a training iteration."""
        self._wandb.log({name: self._wandb.Image(image), ITERATION: step})

    @force_init_env
    def add_scalar(self, name: str, value: Any, step: int = 0, **kwargs: Any) -> None:
        """Record a scalar at a training iteration."""
        self._wandb.log({name: value, ITERATION: step})

    @force_init_env
    def add_scalars(
        self, scalar_dict: dict[str, Any], step: int = 0, file_path: Optional[str] = None, **kwargs: Any
    ) -> None:
        """Record scalars at a training iteration."""
        self._wandb.log({**scalar_dict, ITERATION: step})
