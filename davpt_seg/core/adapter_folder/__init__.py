"""Adapter folders: what a model adds to its frozen trunk, as JSON and safetensors, to send and to load again."""

from typing import TYPE_CHECKING

from ...lazy import on_first_use

if TYPE_CHECKING:
    from .adapter_set import AdapterSet
    from .loading import load_adapter
    from .saving import save_adapter

__all__ = ["AdapterSet", "load_adapter", "save_adapter"]

__getattr__ = on_first_use(__name__, adapter_set=("AdapterSet",), loading=("load_adapter",), saving=("save_adapter",))
