"""Trained models for Python users."""

from __future__ import annotations

from pathlib import Path

import mmcv
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate

from davpt_seg.apis import Predictor, load_trained
from davpt_seg.apis.predictor import image_steps
from davpt_seg.apis.predictor import test_steps as steps_of
from davpt_seg.errors import InputError

from ..checkpoints import Trained


def test_a_loaded_model_labels_images_as_the_predictor_does(trained: Trained) -> None:
    cfg = Config.fromfile(trained.config)
    cfg.model.backbone.weights = None
    before = cfg.to_dict()
    model = load_trained(cfg, trained.checkpoint)
    assert not model.training
    assert cfg.to_dict() == before
    pixels = mmcv.imread(trained.images[0])
    with torch.no_grad():
        (sample,) = model.test_step(pseudo_collate([Compose(image_steps(steps_of(cfg)))(dict(img=pixels))]))
    found = sample.pred_sem_seg.data.squeeze(0).cpu().numpy()
    np.testing.assert_array_equal(found, Predictor(trained.checkpoint, device="cpu")(pixels))


def test_a_model_takes_only_its_own_checkpoint(trained: Trained, tmp_path: Path) -> None:
    cfg = Config.fromfile(trained.config)
    cfg.model.backbone.update(weights=None, prompts=dict(num_prompts=3))
    with pytest.raises(InputError, match=r"epoch_1\.pth' is not of .*config\.py"):
        load_trained(cfg, trained.checkpoint)
    with pytest.raises(InputError, match="does not exist"):
        load_trained(cfg, str(tmp_path / "none.pth"))
