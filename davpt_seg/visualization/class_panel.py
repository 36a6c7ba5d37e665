"""Figure of a few classified images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Optional

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from .class_names import PLAIN, shown

RIGHT, WRONG = "tab:green", "tab:red"
LONGEST = 28  # letters of a name below an image


class Classified(NamedTuple):
    """Classified image.

    Attributes:
        image: RGB image, (H, W, 3) uint8.
        label: predicted class.
        probability: its probability; None if it is unknown.
        truth: true class, or a negative number if it is unknown.
    """

    image: np.ndarray
    label: int
    probability: Optional[float]
    truth: int

    @classmethod
    def of(cls, image: np.ndarray, sample: Any) -> Classified:
        """Return the classification that a sample of mmpretrain holds."""
        label = int(sample.pred_label.flatten()[0])
        probability = float(sample.pred_score.flatten()[label]) if "pred_score" in sample else None
        truth = int(sample.gt_label.flatten()[0]) if "gt_label" in sample else -1
        return cls(image, label, probability, truth)


@rc_context(PLAIN)
def class_panel(found: Sequence[Classified], classes: Sequence[str], title: str) -> Figure:
    """Draw images in a row, each with its predicted class, green if it is right, above its true class.

    Args:
        found: classified images.
        classes: names of the C classes.
        title: title above.
    """
    figure = Figure(figsize=(2.6 * len(found), 3.4), dpi=110, layout="constrained")
    figure.suptitle(title, fontsize=11)
    for axes, each in zip(np.atleast_1d(figure.subplots(1, len(found))), found):
        axes.imshow(each.image)
        axes.set(xticks=[], yticks=[])
        chance = "" if each.probability is None else f"  {100 * each.probability:.0f} %"
        colour = RIGHT if each.label == each.truth else WRONG if each.truth >= 0 else "black"
        axes.set_title(f"{shown(classes[each.label], LONGEST)}{chance}", fontsize=9, color=colour)
        if each.truth >= 0:
            axes.set_xlabel(f"true: {shown(classes[each.truth], LONGEST)}", fontsize=9)
    return figure
