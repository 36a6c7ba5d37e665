"""Transform that gives instances without a mask their box as one."""

from __future__ import annotations

from typing import Any

from mmengine.registry import TRANSFORMS


@TRANSFORMS.register_module()
class BoxMasks:
    """Take the box of an instance that has no mask as its mask, so that guidance reads files with boxes only.

    Put it right before mmdet's ``dict(type="LoadAnnotations", with_mask=True)``, which ends at such an instance. It is
    not meant for a head that learns masks.
    """

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add ``mask``, a polygon [x, y, ...], to each of ``instances`` without one."""
        instances = [
            each if each.get("mask") else {**each, "mask": _polygon(*each["bbox"])} for each in results["instances"]
        ]
        return {**results, "instances": instances}

    def __repr__(self) -> str:
        return "BoxMasks()"


def _polygon(left: float, top: float, right: float, bottom: float) -> list[list[float]]:
    return [[left, top, right, top, right, bottom, left, bottom]]
