"""A model's config is checked before anything is built, and what can be built passes."""

from __future__ import annotations

from pathlib import Path

import pytest

from davpt_seg.training.check_model import check_model

from . import tiny_camvid


@pytest.mark.parametrize("img_size", [56, 55])
def test_a_vit_passes_whose_images_its_patches_do_not_divide(img_size: int, camvid: Path, tmp_path: Path) -> None:
    cfg = tiny_camvid(camvid, tmp_path)
    cfg.model.backbone.timm_kwargs.img_size = img_size
    check_model(cfg)
