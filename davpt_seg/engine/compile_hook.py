"""Hook that compiles the backbone with torch.compile."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from ..errors import InputError
from .guided import bare_model


@HOOKS.register_module()
class CompileBackboneHook(Hook):
    """Compile the backbone's forward pass, in place, before training; parameters keep their names.

    Args:
        **kwargs: arguments of ``torch.compile`` (``backend``, ``mode``, ``dynamic``, ...). The first iterations are
            slow.
    """

    def __init__(self, **kwargs: Any) -> None:
        self.kwargs = kwargs

    def before_train(self, runner: Runner) -> None:
        """Compile the backbone.

        Raises:
            ValueError: the model has no backbone.
        """
        model = bare_model(runner)
        if not hasattr(model, "backbone"):
            raise InputError(f"CompileBackboneHook: {type(model).__name__} has no backbone; omit the hook")
        model.backbone.compile(**self.kwargs)
