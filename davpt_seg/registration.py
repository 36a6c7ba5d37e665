"""Registration with MMEngine, as soon as OpenMMLab is imported and not before.

A registered class needs MMEngine, MMSegmentation and MMPretrain, whose import takes seconds. ``davpt-seg --help`` and
``davpt_seg.core`` need none of them, but Python imports this package first for these too, and cannot say for whom. So
``import davpt_seg`` imports nothing of OpenMMLab. It registers

* at once, if a package of OpenMMLab is imported already: MMEngine reads ``custom_imports`` of a config;
* otherwise right after the first ``import`` of such a package, wherever it is: the order of the two imports makes no
  difference.
"""

from __future__ import annotations

import importlib.util
import sys
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Optional

PACKAGES = ("mmengine", "mmcv", "mmseg", "mmpretrain", "mmdet")
#: Functions of :mod:`davpt_seg.compat` by the module after whose import each is called.
FIXES = {
    "mmpretrain.utils.dependency": "omit_broken_multimodal",
    "mmdet.datasets.api_wrappers": "score_empty_results",
}


def register_beside_openmmlab() -> None:
    """Register now or when OpenMMLab is imported; warn where MMEngine is not installed."""
    if importlib.util.find_spec("mmengine") is None:
        warnings.warn(
            "MMEngine is not installed: only davpt_seg.core is usable. "
            "For training, in a checkout: pip install -e '.[openmmlab]'",
            stacklevel=3,
        )
        return
    if any(sys.modules.get(package) for package in PACKAGES):
        register()
    else:
        sys.meta_path.insert(0, AfterImport(PACKAGES, register))
    for module, name in FIXES.items():
        if module in sys.modules:
            apply_fix(name)
        else:
            sys.meta_path.insert(0, AfterImport([module], partial(apply_fix, name)))


def register() -> None:
    """Import everything that registers itself with MMEngine.

    Raises:
        ImportError: a package is missing, or OpenMMLab's own packages and their onedl fork are both installed.
    """
    from . import compat, compiled_ops

    compat.check_stack()
    compiled_ops.stub_compiled_ops()
    compat.provide_pkg_resources()
    from . import datasets, engine, models  # noqa: F401
    from .trust import schemes  # noqa: F401


def apply_fix(name: str) -> None:
    """Call a function of :mod:`davpt_seg.compat`, which is imported for it."""
    from . import compat

    getattr(compat, name)()


class AfterImport:
    """Entry of ``sys.meta_path`` that calls a function once, after the first import of any of some modules.

    It finds nothing itself: the other entries find the package, and their loader runs it. The function is called when
    that package is complete, also if it imports others of them on its way.

    Args:
        packages: names of the modules, mostly packages at the top level.
        function: called without arguments. What it raises, the ``import`` statement raises.
    """

    def __init__(self, packages: Sequence[str], function: Callable[[], None]) -> None:
        self.packages = packages
        self.function = function

    def find_spec(
        self, fullname: str, path: Optional[Sequence[str]] = None, target: Optional[ModuleType] = None
    ) -> Optional[ModuleSpec]:
        """Return the spec that the other entries find for one of the packages, with a loader that calls back."""
        if fullname not in self.packages:
            return None
        others = (each.find_spec(fullname, path, target) for each in sys.meta_path if each is not self)
        spec = next((found for found in others if found is not None), None)
        if spec is None or spec.loader is None:
            return spec
        loader, run = spec.loader, spec.loader.exec_module

        def run_and_call(module: ModuleType) -> None:
            del loader.exec_module  # the class's own again
            if self not in sys.meta_path:  # called already, or about to be by an import around this one
                run(module)
                return
            sys.meta_path.remove(self)
            try:
                run(module)
                self.function()
            except BaseException:  # not imported: wait for the next attempt
                sys.meta_path.insert(0, self)
                raise

        loader.exec_module = run_and_call  # type: ignore[method-assign]
        return spec
