"""Hook that lets a detector decode and compare boxes in float32 under mixed precision."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor, nn

from .guided import bare_model

Outputs = TypeVar("Outputs")


@HOOKS.register_module()
class FloatHeadsHook(Hook):
    """Convert the outputs of a detector's heads to float32.

    Under autocast, mmdet makes anchors in the precision of the logits: bfloat16 has steps of 4 pixels at the right edge
    of an image of 1,024. Convolutions and linear layers of the heads stay in the lower precision; losses, boxes, scores
    and non-maximum suppression are computed in float32. Heads are all modules whose name ends with ``_head``.
    """

    def before_run(self, runner: Runner) -> None:
        """Attach to the heads, once."""
        for name, module in bare_model(runner).named_modules():
            if name.endswith("_head") and _converted not in module._forward_hooks.values():
                module.register_forward_hook(_converted)


def _converted(module: nn.Module, inputs: Any, outputs: Any) -> Any:
    return in_single(outputs)


def in_single(outputs: Outputs) -> Outputs:
    """Return tensors, and nested tuples, lists and dicts of them, with half-precision values in float32."""
    if isinstance(outputs, Tensor):
        half = outputs.dtype in (torch.float16, torch.bfloat16)
        return outputs.float() if half else outputs  # type: ignore[return-value]
    if isinstance(outputs, (tuple, list)):
        return type(outputs)(in_single(each) for each in outputs)  # type: ignore[return-value]
    if isinstance(outputs, dict):
        return {key: in_single(value) for key, value in outputs.items()}  # type: ignore[return-value]
    return outputs
