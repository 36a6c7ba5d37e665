"""Colours of classes."""

from __future__ import annotations

import numpy as np

from davpt_seg.visualization.class_colours import colours_of


def test_classes_without_colours_have_those_of_voc() -> None:
    from mmseg.datasets import PascalVOCDataset

    voc = PascalVOCDataset.METAINFO["palette"][1:]  # without background
    assert colours_of(None, 20).tolist() == voc


def test_up_to_255_classes_have_different_colours() -> None:
    assert len(np.unique(colours_of(None, 255), axis=0)) == 255


def test_a_palette_counts_only_if_it_has_a_colour_for_every_class() -> None:
    own = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    assert colours_of(own, 2).tolist() == own[:2]
    assert colours_of(own, 4).tolist() == colours_of(None, 4).tolist()
    assert colours_of(None, 0).shape == (0, 3)
