"""Replacement of mmcv's compiled ops where mmcv has none: by torchvision or torch, the others by errors.

``mmcv-lite`` has no ``mmcv._ext``. mmseg imports ``mmcv.ops`` with its models, and detectors call non-maximum
suppression, RoI Align and, on a GPU, the sigmoid focal loss and deformable attention (arXiv 2010.04159) there.
Replacements have the same definition, on any device; a call of another op raises an error with its name.
"""

from .stub import stub_compiled_ops as stub_compiled_ops
