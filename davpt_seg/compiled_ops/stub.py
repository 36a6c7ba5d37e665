"""Import of ``mmcv.ops`` where mmcv has no compiled ops."""

from __future__ import annotations

import importlib.util
import sys
import types
import warnings
from typing import Any

from .boxes import nms, roi_align_backward, roi_align_forward
from .focal_loss import focal_loss_backward, focal_loss_forward

REPLACED = {
    "nms": nms,
    "roi_align_forward": roi_align_forward,
    "roi_align_backward": roi_align_backward,
    "sigmoid_focal_loss_forward": focal_loss_forward,
    "sigmoid_focal_loss_backward": focal_loss_backward,
}


class UncompiledOps(types.ModuleType):
    """Replacement of ``mmcv._ext`` while ``mmcv.ops`` looks up its functions; a call raises an error with the name."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name in ("get_compiler_version", "get_compiling_cuda_version"):
            return lambda: "none: mmcv without compiled ops"
        if name in REPLACED:
            return REPLACED[name]

        def missing(*args: Any, **kwargs: Any) -> None:
            raise NotImplementedError(f"mmcv.ops needs its compiled op {name!r} here; install full mmcv for it")

        return missing


def stub_compiled_ops() -> bool:
    """Make ``mmcv.ops`` importable where mmcv has no compiled ops; return whether that was needed.

    Deformable attention then takes mmcv's own form in torch on a GPU, too, as it does on a CPU.

    The stub is removed afterwards, so that other checks for full mmcv do not find it.
    """
    if importlib.util.find_spec("mmcv") is None or "mmcv.ops" in sys.modules:
        return False
    if importlib.util.find_spec("mmcv._ext") is not None:
        return False
    sys.modules["mmcv._ext"] = UncompiledOps("mmcv._ext")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import mmcv.ops
        mmcv.ops.multi_scale_deform_attn.IS_CUDA_AVAILABLE = False
    finally:
        del sys.modules["mmcv._ext"]
        sys.modules["mmcv"].__dict__.pop("_ext", None)
    return True
