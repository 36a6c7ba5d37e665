"""A deployed model as a program of ``torch.export``, and its ``.pt2`` file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

from ..errors import InputError
from .deployed import DeployedModel
from .products import Products

MOST_IMAGES = 1024  # of a batch
LONGEST_SIDE = 2**14
FEWEST_PATCHES = 4  # of a side, because heads halve maps, and torch.export treats a side of 1 apart
ABOUT = "davpt_seg.json"  # what a .pt2 file holds besides the program

Run = Callable[[Tensor], Tensor]


@torch.no_grad()
def exported(model: DeployedModel, images: Tensor, dynamic: bool) -> ExportedProgram:
    """Export a model for any number of images.

    Args:
        model: what is exported.
        images: what it is traced with, (2, 3, H, W), of the type that it takes; their values do not matter.
        dynamic: export for images of any size; otherwise, for the size of ``images``.

    Raises:
        InputError: torch.export cannot follow the model, or only for one size.
    """
    shape = {0: Dim("batch", min=1, max=MOST_IMAGES)}
    if dynamic:
        down, across = (FEWEST_PATCHES * side for side in model.patch_size)
        shape.update({2: Dim("height", min=down, max=LONGEST_SIDE), 3: Dim("width", min=across, max=LONGEST_SIDE)})
    try:
        with Products():
            return torch.export.export(model, (images,), dynamic_shapes=(shape,), strict=False)
    except (AssertionError, RuntimeError, TypeError, ValueError) as error:  # whatever heads do to a symbolic size
        raise InputError(_reason(error, dynamic)) from error


def _reason(error: Exception, dynamic: bool) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    advice = "; with a fixed size it may: --size HEIGHTxWIDTH" if dynamic else ""
    return f"torch.export cannot follow this model{' for images of any size' * dynamic}{advice}. {' '.join(lines[:3])}"


def save_program(program: ExportedProgram, path: Path, about: Mapping[str, str]) -> None:
    """Write a program and a text about it."""
    with path.open("wb") as file:
        torch.export.save(program, file, extra_files={ABOUT: json.dumps(about)})


def load_program(path: Path) -> Run:
    """Read a program back, as a function of images."""
    with path.open("rb") as file:
        return torch.export.load(file).module()
