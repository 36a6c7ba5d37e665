"""Objects drawn onto an image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData

pytest.importorskip("mmdet")
from davpt_seg.visualization.drawn_objects import drawn_objects

PALETTE = np.array([[255, 0, 0], [0, 0, 255]])


@pytest.mark.parametrize("scored", [True, False])
def test_a_box_has_its_class_s_colour_at_its_edges_in_the_enlarged_image(scored: bool) -> None:
    found = InstanceData(bboxes=torch.tensor([[10.0, 20.0, 90.0, 70.0]]), labels=torch.tensor([1]))
    if scored:
        found.scores = torch.tensor([0.75], dtype=torch.bfloat16)
    drawn = drawn_objects(np.zeros((100, 100, 3), dtype=np.uint8), found, ("cat", "dog"), PALETTE, width=400)
    assert drawn.shape == (400, 400, 3)
    red, green, blue = (drawn[..., i] > 150 for i in range(3))
    rows, columns = np.nonzero(blue & ~red & ~green)
    assert np.allclose((columns.min(), rows.min(), columns.max(), rows.max()), (40, 80, 360, 280), atol=4)
    assert not drawn[300:, 40:].any()  # nothing below the box


def test_without_objects_the_image_is_only_enlarged() -> None:
    nothing = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long), scores=torch.zeros(0))
    drawn = drawn_objects(np.full((10, 20, 3), 90, dtype=np.uint8), nothing, ("cat", "dog"), PALETTE, width=60)
    assert drawn.shape == (30, 60, 3) and (drawn == 90).all()
