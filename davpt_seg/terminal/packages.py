"""Packages that a command may need, and how to install them."""

from __future__ import annotations

from typing import Optional

OPENMMLAB = "pip install '.[openmmlab]' (or '.[onedl]', never both)"
PLANS = "pip install '.[benchmark]'"
EXPORT = "pip install '.[export]'"
#: Packages that a command may need, and how to install them.
NEEDED = {
    **{name: (name, OPENMMLAB) for name in ("mmengine", "mmcv", "mmseg", "mmpretrain")},
    "pydantic": ("pydantic 2", PLANS),
    "yaml": ("PyYAML", PLANS),
    **{name: (name, EXPORT) for name in ("onnx", "onnxscript", "onnxruntime")},
}


def needed(error: ImportError) -> Optional[str]:
    """Return the package of :data:`NEEDED` whose absence or version raised an error; None for another error."""
    package = (error.name or "").partition(".")[0]
    missing = isinstance(error, ModuleNotFoundError) or package == "pydantic"
    return package if missing and package in NEEDED else None
