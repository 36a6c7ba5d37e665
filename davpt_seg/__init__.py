"""davpt_seg: DA-VPT (CVPR 2025) and visual prompt tuning of frozen Vision Transformers, for MMSegmentation.

``import davpt_seg`` registers the backbone, hooks, data sets, transforms and a reader of checkpoints with MMEngine, and
changes nothing else in other packages but what :mod:`davpt_seg.compat` fixes when they are imported. It imports nothing
of OpenMMLab itself, see :mod:`davpt_seg.registration`.
``davpt_seg.core`` needs none of it.
"""

from .lazy import on_first_use
from .registration import register_beside_openmmlab

__version__ = "0.4.0"

__getattr__ = on_first_use(__name__)  # davpt_seg.core and so on

register_beside_openmmlab()
