"""The prompted ViT as an OpenMMLab backbone."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, TypeVar

import torch
from mmengine.registry import MODELS
from torch import Tensor, nn

from ..compat import log_through_mmengine
from ..core.arguments import check_names
from ..core.blocks import Trunk
from ..core.delta import frozen_names, origin_of, same_trunk
from ..core.guidance.metric import GuidedRecord
from ..core.quantization import is_quantized, quantize
from ..core.record import Record
from ..core.trunk import WeightsSource, build_trunk, create_trunk
from ..core.vit import PromptedViT
from ..errors import InputError

logger = logging.getLogger("davpt_seg")
Own = TypeVar("Own", bound="PromptedViTBackbone")


#: The field of the core's features that each gives.
OUT_TYPES = {"featmap": "maps", "cls_token": "class_token", "avg_featmap": "mean_token"}


@MODELS.register_module(name="PromptedViT")
class PromptedViTBackbone(PromptedViT):
    """:class:`~davpt_seg.core.vit.PromptedViT` that returns what mmseg's and mmpretrain's necks and heads take.

    All arguments but ``out_type`` are the core's. The trunk's weights are read when training starts, as MMEngine has
    it (its Runner calls ``init_weights``), or when a checkpoint is loaded that was saved without its frozen trunk
    (:class:`~davpt_seg.engine.AtomicCheckpointHook`), and not at construction: a checkpoint that holds the trunk needs
    no other file. A forward pass before either is an error.

    It is no ``BaseModule`` on purpose: MMEngine would call timm's ``init_weights`` on the trunk, after its weights
    were loaded.

    Args:
        out_type: named as mmpretrain's ViT does: ``featmap``, the maps of ``out_indices``, each (B, D, h, w);
            ``cls_token``, the class token (B, D); ``avg_featmap``, the mean of the patch tokens (B, D). The latter two
            are of the last block, after the trunk's final norm. Blocks that it, ``out_indices`` and guidance do not
            need are not run, and nothing is made for them.

    Raises:
        ValueError: an ``out_type`` that is unknown, or that the trunk does not have.
    """

    _records: tuple[GuidedRecord, ...] = ()
    _warned = False

    def __init__(self, *args: Any, out_type: str = "featmap", **arguments: Any) -> None:
        log_through_mmengine()
        check_names(PromptedViT, arguments, "backbone PromptedViT", given=("outputs",), further=("out_type",))
        if not isinstance(out_type, str) or out_type not in OUT_TYPES:
            raise InputError(f"out_type must be one of {tuple(OUT_TYPES)}, got {out_type!r}")
        super().__init__(*args, **arguments, outputs=(OUT_TYPES[out_type],))  # type: ignore[misc]
        if out_type == "cls_token" and self.trunk.cls_token is None:
            raise InputError("out_type='cls_token': this ViT has no class token; take 'avg_featmap'")
        self.out_type = out_type

    def _build_trunk(
        self, model_name: str, pretrained: bool, weights: WeightsSource, timm_kwargs: Mapping[str, Any]
    ) -> Trunk:
        self._source = (model_name, pretrained, weights, timm_kwargs)
        self._awaits_weights = bool(pretrained) != bool(weights) and not isinstance(weights, nn.Module)
        if not self._awaits_weights:  # random weights, with a warning; or two sources, an error
            return build_trunk(*self._source)
        return create_trunk(model_name, False, timm_kwargs)

    def init_weights(self) -> None:
        """Read the trunk's weights from their source, unless that or a checkpoint was loaded before.

        Raises:
            ValueError: a weights file that does not fit.
            InputError: weights that cannot be downloaded; the message says what to do instead.
        """
        if not self._awaits_weights:
            return
        trunk = self._read_source()
        self.trunk.origin = origin_of(trunk)  # type: ignore[assignment]
        self.trunk.load_state_dict(trunk.state_dict())
        origin_of(self.trunk).stored(self.trunk)
        self._awaits_weights = False

    def fold(self: Own) -> Own:
        """Fold what was learned into the trunk, as :meth:`~davpt_seg.core.PromptedViT.fold` does.

        Raises:
            InputError: the trunk's weights were not read: they would later replace what was folded into it.
        """
        if not self.has_weights:
            raise InputError(
                "fold() needs the ViT's weights, which were not read yet: call init_weights(), or load a checkpoint, "
                "and then fold"
            )
        return super().fold()

    def __deepcopy__(self: Own, memo: dict[int, Any]) -> Own:
        """Copy the model without the records of its last step, whose graph torch cannot copy."""
        records, self._records = self._records, ()
        try:
            return super().__deepcopy__(memo)  # type: ignore[return-value]
        finally:
            self._records = records

    def _read_source(self) -> Trunk:
        """Build the trunk again with the weights that the config names, float32, its origin pinned where needed."""
        with torch.random.fork_rng(devices=[]):  # the heads draw the same numbers, whatever timm draws for this copy
            trunk = build_trunk(*self._source)
        if self.precision.half is not None or is_quantized(self.trunk):
            origin_of(trunk).pin(trunk)
        return trunk

    @property
    def has_weights(self) -> bool:
        """Whether the trunk's weights were read, from their source or a checkpoint."""
        return not self._awaits_weights

    def require_weights(self, record: Record) -> None:
        """Read the trunk's weights from their source, if there is one and they still wait to be read.

        Raises:
            InputError: they cannot be read; the message names those that are needed.
        """
        try:
            self.init_weights()
        except InputError as error:
            raise InputError(
                f"this was saved without its frozen ViT and needs {record}. {record.advice}. What is named here cannot "
                f"be read: {error}"
            ) from error

    def can_be_read_again(self) -> bool:
        """Return whether the config names a source that gives the weights that the trunk has.

        The source is read where a checkpoint brought the weights.
        """
        if origin_of(self.trunk).source is not None or not self.has_source:
            return self.has_source
        read = self._read_source()
        if is_quantized(self.trunk):
            quantize(read)
        self.precision.store(read)
        equal = same_trunk(self, {f"trunk.{name}": value for name, value in read.state_dict().items()})
        if equal:
            self.trunk.origin = origin_of(read)  # type: ignore[assignment]
            origin_of(self.trunk).stored(self.trunk)
        return equal

    @property
    def has_source(self) -> bool:
        """Whether the config names weights of the trunk."""
        _, pretrained, weights, _ = self._source
        return bool(pretrained or weights)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        super()._load_from_state_dict(state_dict, prefix, *args)
        frozen = frozen_names(self) or {f"trunk.{name}" for name in self.learned_in_trunk}
        if any(prefix + name in state_dict for name in frozen):
            self._awaits_weights = False

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
        """Return what ``out_type`` says; in training, keep the guided blocks' records.

        Raises:
            RuntimeError: the trunk still waits for the weights that its config names.
        """
        if self._awaits_weights:
            raise RuntimeError(
                "the ViT still has random weights: call init_weights() to read those that its config names "
                "(MMEngine's Runner does so when training starts), or load a checkpoint"
            )
        features = super().forward(images)
        if self._records and features.records and not self._warned:
            self._warned = True
            logger.warning(
                "The backbone has guidance, but no hook takes its records: no metric loss is trained. "
                "Add dict(type='MetricLossHook') to custom_hooks."
            )
        self._records = features.records
        found = getattr(features, OUT_TYPES[self.out_type])
        return found if self.out_type == "featmap" else (found,)

    def take_records(self) -> tuple[GuidedRecord, ...]:
        """Return the records of the last training forward pass, once."""
        records, self._records = self._records, ()
        return records
