"""Adapter folders of models for a task: what was trained without the frozen trunk, to send and to load."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Optional, Union

from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.utils import import_modules_from_strings
from torch import nn

from ..core.adapter_folder.backbone import (
    TrunkSource,
    backbone_arguments,
    check_backbone,
    check_size,
    digest_once,
    drop_guidance,
    expected_state,
    source_arguments,
    trunk_of,
)
from ..core.adapter_folder.config import AdapterConfig, read_config
from ..core.adapter_folder.loading import PREFIX, naming
from ..core.adapter_folder.opening import place_of
from ..core.adapter_folder.places import CONFIG, Place
from ..core.adapter_folder.saving import backbone_part, write_folder
from ..core.adapter_folder.tensors import read_tensors
from ..core.arguments import plain
from ..core.delta import frozen_names
from ..core.record import RECORD, Record
from ..core.vit import PromptedViT
from ..errors import InputError
from ..models.prompted_vit import OUT_TYPES, PromptedViTBackbone
from ..training.model import build_model, build_on_meta
from ..training.refusals import step
from ..training.tasks import CLASSIFICATION, DETECTION, SEGMENTATION, task_of
from ..training.trained_checkpoint import class_names_and_colours, detected_classes
from ..trust.adapter_parts import check_adapter_parts
from ..trust.config_check import without_sources
from ..trust.config_parts import innermost
from .adapter_card import task_card
from .adapter_config import adapter_part, as_mmengine_reads
from .paths import path_of

LATER = {"weights": "given when it is loaded"}  # a source that is never read


def save_adapter(
    model: nn.Module,
    folder: Union[str, os.PathLike[str]],
    mapping: bool = False,
    card: Optional[str] = None,
    figure: Optional[bytes] = None,
) -> Path:
    """Write a trained segmentor, classifier or detector without its frozen trunk into a folder.

    Args:
        model: a model from ``load_trained``, or a runner's: with its config as ``model.cfg`` and its classes as
            ``model.dataset_meta``.
        folder: to write; an earlier adapter in it is replaced in one step.
        mapping: also write guidance's state (class means, the class-to-prompt mapping).
        card: text of ``README.md``; by default one of what the model knows.
        figure: a PNG image beside the card.

    Returns:
        The folder.

    Raises:
        InputError: a model without config or classes, or one that cannot be saved (see
            :func:`davpt_seg.core.save_adapter`).
    """
    tensors, config = adapter_of(model, mapping)
    return write_folder(folder, tensors, config, card or task_card(config, model), figure)


def adapter_of(
    model: nn.Module, mapping: bool = False, record: Optional[Record] = None
) -> tuple[dict[str, Any], AdapterConfig]:
    """Return what a folder holds of a model: tensors by name, and its config without checksum.

    Args:
        model: see :func:`save_adapter`.
        mapping: see there.
        record: its frozen trunk, where that is known; by default that of the model's own.

    Raises:
        InputError: see there.
    """
    backbone, cfg = getattr(model, "backbone", None), getattr(model, "cfg", None)
    if not isinstance(backbone, PromptedViTBackbone):
        raise InputError(
            f"save_adapter takes a segmentor, classifier or detector with the backbone PromptedViT, got a "
            f"{type(model).__name__};"
            " davpt_seg.core.save_adapter takes a PromptedViT"
        )
    if not isinstance(cfg, Config):
        raise InputError("the model has no config: build it by davpt_seg.apis.load_trained, or set model.cfg")
    tensors, config = backbone_part(backbone, mapping, record)
    tensors.update({name: value for name, value in model.state_dict().items() if _is_of_task(name)})
    meta: Any = getattr(model, "dataset_meta", None) or {}
    task = task_of(cfg)
    if task == SEGMENTATION:
        class_names_and_colours({"meta": {"dataset_meta": meta}}, "of this model")
    if task == DETECTION:
        names, colours = detected_classes({"meta": {"dataset_meta": meta}}, "of this model")
        meta = dict(classes=list(names), palette=colours.tolist())
    return tensors, replace(
        config,
        task=task,
        config=plain(adapter_part(cfg)),
        classes=plain(meta.get("classes")),
        palette=plain(meta.get("palette")),
    )


def _is_of_task(name: str) -> bool:
    """Return whether a tensor is of neck or head; auxiliary heads are for training alone."""
    return not name.startswith((PREFIX, "auxiliary_head."))


def load_adapter(
    folder: Union[str, os.PathLike[str]], trunk: TrunkSource = None, trust_config: bool = False
) -> BaseModel:
    """Load the model of an adapter folder, on the CPU and in eval mode.

    >>> street = load_adapter("street", trunk="vit.safetensors")
    >>> crops = load_adapter("hub:ada/crops", trunk=street)  # one trunk in memory serves both

    Nothing in the folder is run, and nothing is built or allocated before it was found to fit. Classes are those of an
    allow list (:data:`~davpt_seg.trust.adapter_parts.ALLOWED`).

    Args:
        folder: a path, or ``hub:USER/NAME`` with an optional ``@REVISION``.
        trunk: a weights file, as ``weights=`` of the backbone takes it; ``pretrained`` for timm's own; or a model whose
            trunk is shared: a PromptedViT, or what this function returned before. By default the recorded file, if it
            is next to the folder.
        trust_config: build any registered class, and import what the folder names. Only where you trust its maker.

    Raises:
        InputError: a damaged, crafted or newer folder, one of a backbone alone, or another trunk than the one that it
            was trained on.
    """
    return OpenedAdapter(folder, trunk, trust_config).build()


def import_named(imports: Any) -> None:
    """Import the modules that a trusted folder names.

    Raises:
        InputError: something else than ``{"imports": [NAME, ...]}``.
    """
    names = imports.get("imports") if isinstance(imports, dict) else imports
    if names and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise InputError(f"{CONFIG}: custom_imports must hold a list of modules, got {str(imports)[:80]}")
    with step(f"{CONFIG}: custom_imports cannot be imported"):
        import_modules_from_strings(names or [])


class OpenedAdapter:
    """An adapter folder whose description was read and checked, and of which nothing is built yet.

    Args:
        folder: see :func:`load_adapter`.
        trunk: see there.
        trust_config: see there.

    Attributes:
        config: the description.
        cfg: the same as a config of OpenMMLab's, which may be changed before :meth:`build`.
        content: names and colours of the classes, where a checkpoint has them.
        path: the folder's name.
        origin: where the config is from, for messages.

    Raises:
        InputError: see :func:`load_adapter`.
    """

    def __init__(
        self, folder: Union[str, os.PathLike[str]], trunk: TrunkSource = None, trust_config: bool = False
    ) -> None:
        self.path, self.trunk = path_of(folder, "folder (of an adapter)"), trunk
        self.place: Place = place_of(folder)
        self.origin = f"the config of {self.place.name}"
        self.config = read_config(self.place)
        if self.config.task == "backbone":
            raise InputError(
                f"{self.place.name} holds a backbone without a head; load it by davpt_seg.core.load_adapter"
            )
        with naming(self.place):
            check_backbone(self.config.backbone, f"{CONFIG}: backbone")
            check_adapter_parts(self.config.config, trust_config, f"{CONFIG}: config")
            if trust_config:
                import_named(self.config.config.pop("custom_imports", None))
            self.meta = self._classes_and_colours()
            self.content: Mapping[str, Any] = {"meta": {"dataset_meta": self.meta}}
            self.cfg = self._as_config()

    @property
    def task(self) -> str:
        """Task of the model."""
        return self.config.task

    def _classes_and_colours(self) -> dict[str, Any]:
        """Return names and colours of the classes, as a data set of OpenMMLab has them."""
        found = dict(classes=self.config.classes, palette=self.config.palette)
        if self.task != CLASSIFICATION or self.config.palette:
            names, colours = class_names_and_colours({"meta": {"dataset_meta": found}}, self.path)
            return dict(classes=names, palette=colours.tolist())
        listed = self.config.classes
        if listed is not None and not (isinstance(listed, list) and all(isinstance(name, str) for name in listed)):
            raise InputError(f"{CONFIG}: classes must be a list of names, got {str(listed)[:80]}")
        return dict(classes=None if listed is None else tuple(listed), palette=None)

    def _as_config(self) -> Config:
        parts = as_mmengine_reads(self.config.config)
        arguments = backbone_arguments(self.config, None)
        outputs = arguments.pop("outputs", None)
        out_type = next((name for name, output in OUT_TYPES.items() if outputs == [output]), None)
        if out_type is None:
            raise InputError(f"{CONFIG}: backbone outputs must be one of {list(OUT_TYPES.values())}, got {outputs}")
        parts["model"]["backbone"] = dict(type="PromptedViT", out_type=out_type, **arguments)
        loader = parts.get("test_dataloader")
        dataset = innermost(loader.get("dataset") if isinstance(loader, Mapping) else None)
        parts["test_pipeline"] = dataset.get("pipeline")
        try:
            cfg = Config(parts)
        except KeyError as error:  # of keys that MMEngine reserves
            raise InputError(f"{CONFIG}: config holds a key that MMEngine reserves: {error}") from error
        if task_of(cfg) != self.task:
            raise InputError(f"{CONFIG}: task is {self.task!r}, and the config is one of {task_of(cfg)}")
        without_sources(cfg._cfg_dict)
        return cfg

    def build(self) -> BaseModel:
        """Build the model of :attr:`cfg`, and load its tensors on its trunk.

        Raises:
            InputError: see :func:`load_adapter`.
        """
        cfg = self.cfg
        with naming(self.place):
            given = trunk_of(self.trunk, self.place, self.config.trunk, needed=False)
            digest_once(given)
            backbone: dict[str, Any] = LATER
            if isinstance(given, PromptedViT):
                stored = backbone_arguments(self.config, given)
                backbone = {name: stored[name] for name in ("trunk_dtype", "trunk_quantization")} | {"weights": given}
            with step(f"the model of {self.origin} cannot be built (model)"):
                plan: Any = build_on_meta(cfg, backbone)
            frozen = frozen_names(plan.backbone)
            source = trunk_of(given, self.place, self.config.trunk, needed=bool(frozen))
            check_size(plan.backbone, source)
        expected = expected_state(plan.backbone, self.config.mapping)
        expected.update({name: value for name, value in plan.state_dict().items() if _is_of_task(name)})
        state: dict[str, Any] = read_tensors(self.place, expected, False, self.config.checksum)
        with naming(self.place):
            with step(f"the model of {self.origin} cannot be built (model)"):
                model: Any = build_model(cfg, {**backbone, **source_arguments(source)})
            if not self.config.mapping:
                drop_guidance(model.backbone, self.config)
            if frozen:
                state[PREFIX + RECORD] = self.config.trunk.encode()
            model.load_state_dict(state, assign=True)  # which copies no tensor of the trunk onto itself
        model.cfg = model._config = cfg
        model.dataset_meta = model._dataset_meta = self.meta
        return model.eval()
