"""Weights from a file into a timm ViT, strictly."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional, Union, cast

from ...errors import InputError, some
from ..arguments import check_arguments
from ..blocks import Trunk
from .checkpoint import Checkpoint, open_checkpoint
from .differences import describe, differences
from .fit import fit
from .values import faults

logger = logging.getLogger("davpt_seg")


@dataclasses.dataclass(frozen=True)
class WeightsFile:
    """A weights file and how to read it, as ``weights=dict(...)`` in a config.

    Args:
        path: a file of any known format (docs/weights.md): ``.safetensors``, ``.pth``, ``.npz``, ...
        which: network to take from a file with several: ``momentum_encoder``, ``student``, ``state_dict``...
        trust_pickle: let the file's pickle run whatever code it names. Only for files whose maker you trust.
        resample_patch: resample the patch embedding where the trunk's patches have another size, instead of refusing.
        prefix: what is before the names of the ViT in a file of no known format: ``net.``, ``student.``, ...
        adapt_input: make the kernels of the patch embedding for the trunk's number of bands from those of three, by
            timm's ``adapt_input_conv``, where the trunk has another number, instead of refusing.
    """

    path: Union[str, Path]
    which: Optional[str] = None
    trust_pickle: bool = False
    resample_patch: bool = False
    prefix: Optional[str] = None
    adapt_input: bool = False

    @classmethod
    def of(cls, weights: Union[str, Path, Mapping[str, Any]]) -> WeightsFile:
        """Make one of a path or of a config's dict.

        Raises:
            ValueError: an option that does not exist or is of another type, or no path.
        """
        if not isinstance(weights, Mapping):
            return cls(str(weights))
        options = [option.name for option in dataclasses.fields(cls)]
        if "path" not in weights or weights.keys() - set(options):
            raise InputError(f"weights={dict(weights)} must be a path, or a dict of path and any of {options[1:]}")
        check_arguments(cls, weights, "weights")
        return cls(**{**weights, "path": str(weights["path"])})


def load_weights(trunk: Trunk, weights: Union[str, Path, Mapping[str, Any]]) -> Checkpoint:
    """Load a file of any known format into a timm ViT that has no classifier.

    Strict: every tensor of the ViT must be there, in shape, and every tensor of the file must be used or be one that
    no backbone needs (classifier, decoder, mask token, a second network...); those are named in the log. Only
    positions are resampled, to the trunk's grid, also with a line in the log.

    Args:
        trunk: the ViT.
        weights: a path, or a dict of the arguments of :class:`WeightsFile`.

    Returns:
        what was read: its ``format`` is the name of the file's format.

    Raises:
        InputError: see :func:`open_checkpoint`.
        ValueError: missing or unexpected names or other shapes; all kinds are listed, and nothing is loaded. Values
            that no trained ViT has (see :func:`~davpt_seg.core.weights.values.faults`).
    """
    source = WeightsFile.of(weights)
    checkpoint = open_checkpoint(source.path, source.which, source.trust_pickle, source.prefix)
    described = describe(checkpoint.tensors)
    checkpoint.notes += fit(checkpoint.tensors, trunk, source.resample_patch, source.adapt_input)
    if problems := differences(checkpoint.tensors, checkpoint.unexpected, trunk):
        description = cast(dict[str, Any], trunk.pretrained_cfg or {})
        raise InputError(
            f"weights file {source.path!r} (format {checkpoint.format}) does not fit "
            f"{description.get('architecture', 'the trunk')}; check model_name and timm_kwargs\n"
            f"  file:  {described}\n  model: {describe(trunk.state_dict())}\n{problems}"
        )
    if wrong := faults(checkpoint.tensors, floating=trunk.state_dict()):
        raise InputError(
            f"weights file {source.path!r} (format {checkpoint.format}) holds values that no trained ViT has: "
            f"{some(wrong)}. The file is damaged, was written by a training that diverged, or was never trained"
        )
    trunk.load_state_dict(checkpoint.tensors, strict=True)
    logger.info("Loaded %d tensors from %s: %s", len(checkpoint.tensors), source.path, checkpoint.summary())
    return checkpoint
