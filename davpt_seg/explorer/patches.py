"""Grid of a ViT's patches over a shown image of another size."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError


@dataclass(frozen=True)
class Patches:
    """Grid of patches over a shown image; those at the right and lower edge may stick out of it.

    Args:
        shown: height and width of the shown image.
        looked: height and width of the same image as the ViT takes it, without padding.
        patch: height and width of a patch.
    """

    shown: tuple[int, int]
    looked: tuple[int, int]
    patch: tuple[int, int]

    @property
    def grid(self) -> tuple[int, int]:
        """Return the numbers of rows and columns."""
        return math.ceil(self.looked[0] / self.patch[0]), math.ceil(self.looked[1] / self.patch[1])

    def edges(self, axis: int) -> np.ndarray:
        """Return where rows (axis 0) or columns (axis 1) begin and end, in pixels of the shown image: (n + 1,)."""
        scale = self.shown[axis] / self.looked[axis]
        cells = np.arange(self.grid[axis] + 1) * self.patch[axis] * scale
        return np.minimum(cells, self.shown[axis])

    def at(self, x: float, y: float) -> tuple[int, int]:
        """Return row and column of the patch at a pixel; outside of the image, of the nearest patch."""
        row, column = (
            int(np.searchsorted(self.edges(axis)[1:-1], place, side="right")) for axis, place in ((0, y), (1, x))
        )
        return row, column

    def box(self, row: int, column: int) -> tuple[float, float, float, float]:
        """Return x0, y0, x1, y1 of the part of a patch that is image.

        Raises:
            InputError: there is no such patch.
        """
        self.index(row, column)
        rows, columns = self.edges(0), self.edges(1)
        return float(columns[column]), float(rows[row]), float(columns[column + 1]), float(rows[row + 1])

    def index(self, row: int, column: int) -> int:
        """Return the index of a patch, row by row.

        Raises:
            InputError: there is no such patch.
        """
        rows, columns = self.grid
        if not (0 <= row < rows and 0 <= column < columns):
            raise InputError(f"patch ({row}, {column}) does not exist: the image has {rows} x {columns} patches")
        return row * columns + column

    def means(self, maps: Tensor) -> np.ndarray:
        """Return the mean of maps (C, h, w) of the shown image over each patch, (C, rows, columns) float32.

        Pixels through which the edge of a patch passes count in part.
        """
        down, across = (self._weights(axis).to(maps.device) for axis in (0, 1))
        return (down @ maps.float() @ across.T).cpu().numpy()

    def _weights(self, axis: int) -> Tensor:
        """Return each pixel's part of each row or column of patches, (n, pixels), whose rows add up to 1."""
        edges, pixels = self.edges(axis)[:, None], np.arange(self.shown[axis])[None]
        overlap = np.minimum(edges[1:], pixels + 1) - np.maximum(edges[:-1], pixels)
        overlap = overlap.clip(min=0)
        return torch.from_numpy((overlap / overlap.sum(axis=1, keepdims=True)).astype(np.float32))
