"""A transform that refuses label maps with classes the data set does not have."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmengine.registry import TRANSFORMS


@TRANSFORMS.register_module()
class CheckLabels:
    """Refuse a label map that holds a class beyond the data set's, naming the file.

    Put it right after ``LoadAnnotations``. Where an image comes without label map, as in inference, there is nothing to
    check. Without this step such a label surfaces as an index error in the loss; on a GPU,
    as a device assertion that names nothing.

    Args:
        num_classes: C; labels 0 to C - 1 are fine.
        ignore_index: the label of void pixels.
    """

    def __init__(self, num_classes: int, ignore_index: int = 255) -> None:
        self.num_classes = num_classes
        self.ignore_index = ignore_index

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Return the results unchanged.

        Raises:
            ValueError: labels that are neither a class nor void, or a label map that was not loaded yet.
        """
        if "gt_seg_map" not in results:
            if results.get("seg_map_path"):
                raise ValueError("CheckLabels stands before LoadAnnotations in the pipeline; put it right after")
            return results
        values = np.unique(results["gt_seg_map"])
        wrong = [int(v) for v in values if v != self.ignore_index and not 0 <= v < self.num_classes]
        if wrong:
            zero = " after reduce_zero_label" if results.get("reduce_zero_label") else ""
            raise ValueError(
                f"mask {results.get('seg_map_path')!r} holds label {wrong}{zero}, but the data set has "
                f"{self.num_classes} classes (0 to {self.num_classes - 1}) and void is {self.ignore_index}; "
                "mend the mask, or check num_classes and reduce_zero_label"
            )
        return results
