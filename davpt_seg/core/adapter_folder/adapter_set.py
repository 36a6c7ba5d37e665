"""Several adapters on one frozen ViT, of which one is active."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Optional, Union

from torch import nn

from ...errors import InputError, nearest
from ..vit import PromptedViT
from .loading import load_adapter


class AdapterSet:
    """Adapters of one trunk, added and removed by name, without rebuilding it; one of them is active.

    For images of different tasks in one batch, see :class:`~davpt_seg.core.TaskBank`.

    >>> adapters = AdapterSet(PromptedViT("vit_small_patch14_dinov2.lvd142m", weights="vit.safetensors"))
    >>> adapters.add("street", "folders/street")
    >>> adapters.add("crops", "hub:ada/crops")
    >>> features = adapters(images)  # of crops, which was added last
    >>> adapters.activate("street")

    Args:
        trunk: a PromptedViT that tunes nothing of its ViT.
        load: what loads a folder: this package's, or :func:`davpt_seg.apis.load_adapter` for segmentors and
            classifiers.

    Attributes:
        tasks: the names, in the order in which they were added.
        model: the active model, or None.

    Raises:
        InputError: something else than a model.
    """

    def __init__(self, trunk: PromptedViT, load: Callable[..., Any] = load_adapter) -> None:
        if not isinstance(trunk, nn.Module):
            raise InputError(
                f"AdapterSet takes a PromptedViT, got a {type(trunk).__name__}: "
                "AdapterSet(PromptedViT(model_name, weights=FILE))"
            )
        self.trunk, self.load = trunk, load
        self._models: dict[str, Any] = {}
        self.model: Any = None

    @property
    def tasks(self) -> tuple[str, ...]:
        """Return the names."""
        return tuple(self._models)

    def add(self, name: str, folder: Union[str, os.PathLike[str]]) -> None:
        """Load a folder on the trunk that all share, and activate it.

        Raises:
            InputError: a name that is taken, or a folder that does not fit.
        """
        if name in self._models:
            raise InputError(f"the adapter {name!r} is there already; remove it first, or take another name")
        parameter = next(self.trunk.parameters())
        self._models[name] = self.load(folder, trunk=self.trunk).to(parameter.device)
        self.activate(name)

    def activate(self, name: str) -> None:
        """Make an adapter the one that a call runs.

        Raises:
            InputError: an unknown name.
        """
        self.model = self._models[self._known(name)]

    def remove(self, name: str) -> None:
        """Remove an adapter. If it was active, none is active afterwards.

        Raises:
            InputError: an unknown name.
        """
        if self._models.pop(self._known(name)) is self.model:
            self.model = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the active model.

        Raises:
            InputError: none is active.
        """
        if self.model is None:
            raise InputError(f"no adapter is active; activate one of {self.tasks or 'those that you add'}")
        return self.model(*args, **kwargs)

    def _known(self, name: Optional[str]) -> str:
        if name not in self._models:
            raise InputError(f"there is no adapter {name!r}; {nearest(name, self.tasks)}")
        return str(name)
