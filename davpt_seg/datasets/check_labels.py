"""Transform that refuses label maps that do not fit the data set or the image."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmengine.registry import TRANSFORMS

from ..errors import InputError, some


@TRANSFORMS.register_module()
class CheckLabels:
    """Refuse a label map whose size differs from its image or that holds an unknown class, naming the file.

    Put it right after ``LoadLabelMap`` (or mmseg's ``LoadAnnotations``). Without it a wrong label causes an index error
    in the loss, or a device assertion on a GPU, neither of which names a file; and a label map of a wrong size is
    silently stretched. An image without label map, as in inference, is not checked.

    Args:
        num_classes: number of classes C; labels 0 to C - 1 are valid (with ``reduce_zero_label``, after the shift).
        ignore_index: label of void pixels.
    """

    def __init__(self, num_classes: int, ignore_index: int = 255) -> None:
        self.num_classes = num_classes
        self.ignore_index = ignore_index

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Return the results unchanged.

        Raises:
            ValueError: labels that are neither a class nor void, several channels, another size than the image's, or
                a label map that was not loaded yet.
        """
        if "gt_seg_map" not in results:
            if results.get("seg_map_path"):
                raise InputError("CheckLabels must come after LoadLabelMap in the pipeline, right after it")
            return results
        label_map, path = results["gt_seg_map"], results.get("seg_map_path")
        if label_map.ndim != 2:
            kind = "gray with an alpha channel" if label_map.shape[2:] == (2,) else "a colour image"
            raise InputError(
                f"mask {path!r} has the shape {label_map.shape}: it is {kind}; a mask has one channel (mode L or P) "
                "that holds class numbers"
            )
        loaded = results.get("ori_shape")  # shape of the image as read: this step may come before or after Resize
        if loaded is not None and label_map.shape != tuple(loaded[:2]):
            raise InputError(
                f"mask {path!r} has (height, width) {label_map.shape}, but its image {results.get('img_path')!r} "
                f"{tuple(loaded[:2])}; make the mask again at its image's size (CheckLabels must follow "
                "LoadLabelMap)"
            )
        values = np.unique(label_map)
        wrong = [int(v) for v in values if v != self.ignore_index and not 0 <= v < self.num_classes]
        if wrong:
            zero = " after reduce_zero_label" if results.get("reduce_zero_label") else ""
            raise InputError(
                f"mask {path!r} holds label {some(wrong)}{zero}, but the data set has "
                f"{self.num_classes} classes (0 to {self.num_classes - 1}) and void is {self.ignore_index}; "
                "fix the mask, or check num_classes and reduce_zero_label"
            )
        return results
