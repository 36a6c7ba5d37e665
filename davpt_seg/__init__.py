"""davpt_seg: DA-VPT (CVPR 2025) and visual prompt tuning of frozen Vision Transformers, for MMSegmentation.

Importing this package registers the backbone, hooks, transforms and a reader of checkpoints with MMEngine.
``davpt_seg.core`` needs none of it.
"""

import warnings

from . import compat

__version__ = "0.4.0"

if compat.check_stack():
    compat.stub_compiled_ops()
    compat.log_through_mmengine()
    compat.count_frozen_parameters()
    from . import datasets, engine, models  # noqa: F401
    from .trust import schemes  # noqa: F401
else:
    warnings.warn(
        "MMEngine is not installed: only davpt_seg.core is usable. "
        "For training, in a checkout: pip install -e '.[openmmlab]'",
        stacklevel=2,
    )
