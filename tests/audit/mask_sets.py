"""Small segmentation folders with masks of given values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config, ConfigDict
from PIL import Image


def blocks(values: Sequence[int], count: int = 3, side: int = 32, seed: int = 0) -> list[np.ndarray]:
    """Return masks of 8-pixel blocks that hold all values, each more than once over all masks."""
    rng = np.random.default_rng(seed)
    cells = np.resize(np.array(values, np.uint8), (count, side // 8, side // 8))
    return [rng.permuted(cells, axis=2)[i].repeat(8, 0).repeat(8, 1) for i in range(count)]


def write_set(
    folder: Path, splits: Mapping[str, Sequence[np.ndarray]], classes: int, seed: int = 0, **options: Any
) -> dict[str, Any]:
    """Write images of noise and masks, and return the configs of the splits' data sets."""
    rng = np.random.default_rng(seed)
    configs = {}
    for split, masks in splits.items():
        for kind in ("images", "masks"):
            (folder / kind / split).mkdir(parents=True, exist_ok=True)
        for i, mask in enumerate(masks):
            noise = rng.integers(0, 256, (*mask.shape, 3), dtype=np.uint8)
            Image.fromarray(noise).save(folder / "images" / split / f"{i:03d}.jpg")
            Image.fromarray(mask).save(folder / "masks" / split / f"{i:03d}.png")
        configs[split] = ConfigDict(
            type="BaseSegDataset",
            metainfo=dict(classes=tuple(f"c{i}" for i in range(classes))),
            data_root=str(folder),
            data_prefix=dict(img_path=f"images/{split}", seg_map_path=f"masks/{split}"),
            pipeline=[],
            **options,
        )
    return configs


def write_config(folder: Path, configs: Mapping[str, Any], **more: Any) -> str:
    """Write a config with only these data sets."""
    Config({f"{split}_dataloader": dict(dataset=config) for split, config in configs.items()} | more).dump(
        folder / "config.py"
    )
    return str(folder / "config.py")
