"""Backends that a config's visualizer names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

LOCAL, TENSORBOARD = "LocalVisBackend", "TensorboardVisBackend"
WANDB = ("WandbBackend", "WandbVisBackend")


def listed(visualizer: Mapping[str, Any]) -> list[Any]:
    """Return the backends of a visualizer's config."""
    found = visualizer.get("vis_backends") or []
    return list(found) if isinstance(found, Sequence) else [found]


def name_of(backend: Any) -> str:
    """Return the name of a backend's class, without scope or module."""
    kind = backend.get("type", "") if isinstance(backend, Mapping) else type(backend)
    return (kind if isinstance(kind, str) else kind.__name__).rpartition(".")[2]
