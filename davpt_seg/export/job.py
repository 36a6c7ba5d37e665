"""One trained model that is exported in several ways; what they share is made once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple, Optional, Protocol

import numpy as np
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from timm.models.beit import Beit
from torch.export import ExportedProgram

from .. import __version__
from ..errors import InputError
from ..trust.config_parts import innermost
from .comparison import Case, cases
from .deployed import DeployedModel, deployed
from .exportable import in_float32, prompted_vit
from .program import exported

#: Beginnings of the names of transforms that leave the pixels of an image as they are.
NOT_PIXELS = ("Load", "Check", "Pack")


class Choices(NamedTuple):
    """What a program is exported as.

    Attributes:
        size: height and width of the images; None for any.
        output: ``labels`` or ``logits``.
        half: compute in float16.
        uint8: take images as uint8 instead of float32.
    """

    size: Optional[tuple[int, int]] = None
    output: str = "labels"
    half: bool = False
    uint8: bool = False

    @property
    def images(self) -> torch.dtype:
        """Type of the images."""
        return torch.uint8 if self.uint8 else torch.float32


class Trained(Protocol):
    """A trained model before it is built: a checkpoint's, or an adapter folder's."""

    path: str
    content: Mapping[str, Any]
    cfg: Config

    @property
    def task(self) -> str:
        """Task of the model."""

    def build(self) -> BaseModel:
        """Return the model, on the CPU and in eval mode."""


class ExportJob:
    """A trained model and what is exported of it.

    Args:
        trained: checkpoint and config.
        choices: what a program is exported as.

    Attributes:
        model: the trained model in eval mode, computing in float32.

    Raises:
        InputError: the model cannot be built, or is in int8.
    """

    def __init__(self, trained: Trained, choices: Choices) -> None:
        self.trained = trained
        self.choices = choices
        with reported("building the model"):
            self.model: BaseModel = in_float32(trained.build())

    @cached_property
    def deployed(self) -> DeployedModel:
        """The folded model with its normalisation inside."""
        return deployed(self.model, self.choices.output, self.choices.half)

    @cached_property
    def program(self) -> ExportedProgram:
        """The deployed model as a program."""
        size, of = self.choices.size, "images of any size"
        if size:
            of = f"images of {size[0]}x{size[1]}"
        elif reason := _one_size_only(self.model):
            raise InputError(f"--size dynamic: {reason}; give a size: --size HEIGHTxWIDTH")
        down, across = self.deployed.patch_size
        with reported(f"exporting the model for {of}, any number at once"):
            # sides that are no multiples of a patch, so that the program pads and cuts
            images = torch.zeros(2, 3, *(size or (5 * down + 3, 7 * across + 5)), dtype=self.choices.images)
            return exported(self.deployed, images, dynamic=size is None)

    @cached_property
    def cases(self) -> list[Case]:
        """Images, and what the model itself makes of them."""
        size, vit = self.choices.size, prompted_vit(self.model)
        down, across = self.deployed.patch_size
        sizes = [size, size] if size else [(8 * down, 8 * across), (6 * down + 3, 11 * across - 1)]
        if not size and vit is not None and vit.trunk.patch_embed.img_size:
            sizes[0] = tuple(vit.trunk.patch_embed.img_size)
        with reported(f"the model's own test of {_list(sizes)}"):
            return cases(self.model, sizes, self.choices.images)

    @property
    def steps_before(self) -> str:
        """What the test pipeline does to the pixels of an image before the model, which no program does; or ''."""
        cfg = self.trained.cfg
        loader = cfg.get("test_dataloader") or cfg.get("val_dataloader")
        steps = innermost(loader.get("dataset") if isinstance(loader, dict) else None).get("pipeline") or ()
        steps = [step for step in steps if isinstance(step, dict) and "type" in step]
        return ", ".join(
            f"{step['type']}({', '.join(f'{key}={value!r}' for key, value in step.items() if key != 'type')})"
            for step in steps
            if not str(step["type"]).startswith(NOT_PIXELS)
        )

    @cached_property
    def threshold(self) -> Optional[float]:
        """Threshold of a segmentor with a single logit, or None."""
        head: Any = getattr(self.model, "decode_head", None)
        return head.threshold if getattr(head, "out_channels", None) == 1 else None

    @cached_property
    def about(self) -> dict[str, str]:
        """What a file says about itself."""
        meta = self.trained.content.get("meta")
        found = meta.get("dataset_meta") if isinstance(meta, dict) else None
        found = found if isinstance(found, dict) else {}
        notes = {"source": Path(self.trained.path).name, "davpt_seg": __version__}
        if self.steps_before:
            notes["before"] = self.steps_before
        notes["task"] = self.trained.task
        for key in ("classes", "palette"):
            if isinstance(found.get(key), (list, tuple)):
                notes[key] = json.dumps(found[key], default=_plain)
        return notes


def _one_size_only(model: BaseModel) -> Optional[str]:
    """Return why a model is exported for one size only, or None."""
    vit = prompted_vit(model)
    if vit is not None and isinstance(vit.trunk, Beit):
        return "BEiT's biases by relative position are resampled by a search that depends on the size"
    return None


def _plain(value: Any) -> Any:
    """Return numbers of NumPy, in which colours may be, as Python's; anything else as text."""
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else str(value)


def _list(sizes: list[tuple[int, int]]) -> str:
    return " and ".join(f"{count} x {size[0]}x{size[1]}" for count, size in zip((1, 3), sizes))


@contextmanager
def reported(what: str) -> Iterator[None]:
    """Print what begins, and how long it took. Two lines, because others may print in between."""
    print(f"{what} ...", flush=True)
    start = perf_counter()
    yield
    print(f"  {perf_counter() - start:.1f} s", flush=True)
