"""The demo's sheet of a model that was not trained: each form of prompts has its last column."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmseg.registry import MODELS

from ..training import config_file, tiny_camvid
from .scripts import load_script

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("start", ["joint", "offset", "gate"])
def test_the_sheet_is_drawn_for_every_start_of_prompts(start: str, camvid: Path, tmp_path: Path) -> None:
    cfg = tiny_camvid(camvid, tmp_path / "work", **{"model.backbone.prompts.start": start})
    torch.save(dict(state_dict=MODELS.build(dict(cfg.model, _scope_="mmseg")).state_dict()), tmp_path / "untrained.pth")
    out = tmp_path / "out"
    files = [config_file(cfg, tmp_path / "config.py"), str(tmp_path / "untrained.pth"), "--out", str(out)]
    load_script(ROOT / "tools" / "demo_pictures.py").main([*files, "--images", "1"])
    assert (out / "predictions.png").exists()
