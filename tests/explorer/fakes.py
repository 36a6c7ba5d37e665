"""A model whose answers are known, in the place of a trained one."""

from __future__ import annotations

import threading
from typing import Any, Optional

import numpy as np
from PIL import Image

from davpt_seg.errors import InputError

PATCH = 16  # pixels
CLASSES = ["sky", "road", "</script><b>tree"]
PALETTE = np.array([[70, 130, 180], [128, 64, 128], [107, 142, 35]], np.uint8)


class FakeSeen:
    """Patch (row, column) attends to prompt (row + column + block + head) % M with 0.5, and to the others equally."""

    def __init__(self, pixels: np.ndarray, prompts: tuple[int, ...], heads: int, task: str) -> None:
        self.pixels, self.prompts, self.heads = pixels, prompts, heads
        height, width = pixels.shape[:2]
        self.grid = (-(-height // PATCH), -(-width // PATCH))
        rows = np.arange(height)[:, None] // PATCH % len(CLASSES)
        self.labels = np.broadcast_to(rows, (height, width)).astype(np.int64) if task == "segmentation" else None
        self.image_probabilities = None if task == "segmentation" else np.array([0.1, 0.7, 0.2])

    def box_of(self, row: int, column: int) -> tuple[float, float, float, float]:
        height, width = self.pixels.shape[:2]
        right, low = min(width, PATCH * (column + 1)), min(height, PATCH * (row + 1))
        return float(PATCH * column), float(PATCH * row), float(right), float(low)

    def class_probabilities(self, row: int, column: int) -> np.ndarray:
        return np.roll([0.8, 0.15, 0.05], row)

    def prompt_shares(self, block: int, row: int, column: int, head: Optional[int] = None) -> np.ndarray:
        if head is None:
            return np.mean([self.prompt_shares(block, row, column, each) for each in range(self.heads)], axis=0)
        count = self.prompts[block]
        shares = np.full(count, 0.1 / count)
        shares[(row + column + block + head) % count] = 0.5
        return shares

    def strength(self, block: int, row: int, column: int) -> float:
        return float(self.prompt_shares(block, row, column).sum())

    def patch_map(self, block: int, prompt: int, head: Optional[int] = None) -> np.ndarray:
        rows, columns = self.grid
        return np.array(
            [[self.prompt_shares(block, r, c, head)[prompt] for c in range(columns)] for r in range(rows)], np.float32
        )


class FakeModel:
    """Three blocks, of which the last two have 4 prompts and 2 heads; the last is guided."""

    def __init__(self, name: str = "fake", task: str = "segmentation", guided: bool = True, most: int = 1024) -> None:
        self.name, self.task, self.most = name, task, most
        self.classes, self.palette = list(CLASSES), PALETTE
        self.method = "davpt, 4 prompts in blocks 1 and 2"
        self.depth, self.heads, self.prompts = 3, (2, 2, 2), (0, 4, 4)
        self.guided = (2,) if guided else ()
        self.separate_softmax = False
        self.checkpoint = "work_dir/epoch_1.pth"
        self.looked = 0
        self.gate = threading.Event()  # cleared, it holds up what looks at an image
        self.gate.set()

    def look(self, image: Any) -> FakeSeen:
        assert self.gate.wait(60)
        self.looked += 1
        with image if isinstance(image, Image.Image) else Image.open(image) as opened:
            if opened.mode == "CMYK":
                raise InputError("the image has CMYK colours: convert it to RGB")
            shown = opened.convert("RGB")
        shown.thumbnail((self.most, self.most))
        return FakeSeen(np.asarray(shown), self.prompts, self.heads[0], self.task)

    def classes_of_prompt(self, block: int, prompt: int) -> list[str]:
        return [CLASSES[prompt]] if self.guided and prompt < len(CLASSES) else []
