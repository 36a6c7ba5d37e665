"""Record of the frozen trunk that a state dict was saved without: which weights it needs, and their fingerprint."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Optional

import torch
from torch import Tensor

from ..errors import InputError

#: The name of a :class:`Record` in a state dict without the frozen trunk.
RECORD = "frozen_trunk"
MOST_BYTES = 2**16


@dataclass(frozen=True)
class Source:
    """Where the weights of a trunk came from.

    Attributes:
        model_name: timm's, with its tag where the weights are timm's.
        file: name of the weights file, without folders; empty for timm's own weights.
        format: name of its format, see :data:`~davpt_seg.core.weights.FORMATS`; empty where the file was not read.
        network: the network that was taken from a file with several; otherwise empty.
    """

    model_name: str
    file: str = ""
    format: str = ""
    network: str = ""

    def __str__(self) -> str:
        if not self.file:
            return f"timm's own of {self.model_name!r} (pretrained=True)"
        network = f", network {self.network!r}" if self.network else ""
        kind = f" (format {self.format}{network})" if self.format else ""
        return f"of the file {self.file!r}{kind} for model_name={self.model_name!r}"


@dataclass(frozen=True)
class Record:
    """The frozen trunk that a state dict was saved without.

    Attributes:
        fingerprint: the fingerprint of its tensors, see :func:`fingerprint`.
        source: where they came from; None where that is unknown.
    """

    fingerprint: str
    source: Optional[Source] = None

    def __str__(self) -> str:
        return f"the weights {self.source or 'of a ViT whose source is unknown'} (fingerprint {self.fingerprint[:12]})"

    @property
    def advice(self) -> str:
        """How to name the weights, as a sentence without its full stop."""
        if self.source and not self.source.file:
            return "Set pretrained=True of the backbone (davpt-seg predict: --trunk pretrained)"
        file = "a copy of that file" if self.source else "the file that it was trained with"
        return (
            f"Set weights of the backbone to {file} (davpt-seg predict: --trunk FILE), and model_name and timm_kwargs "
            "to those that it was trained with"
        )

    def encode(self) -> Tensor:
        """Return it as a tensor of bytes, (n,) uint8, which every format of state dicts holds."""
        return torch.frombuffer(bytearray(json.dumps(asdict(self)).encode()), dtype=torch.uint8)

    @classmethod
    def decode(cls, value: Any) -> Record:
        """Read what :meth:`encode` returned.

        Raises:
            InputError: something else.
        """
        try:
            if value.dtype != torch.uint8 or value.dim() != 1 or len(value) > MOST_BYTES:
                raise ValueError("no bytes of text")
            return cls.of(json.loads(bytes(value.tolist()).decode()))
        except (AttributeError, RecursionError, ValueError) as error:  # of JSON and of text, too
            raise InputError(
                f"{RECORD!r} of a state dict must describe the frozen ViT that it was saved without, and does not "
                f"({error}); the file is damaged, get it again"
            ) from error

    @classmethod
    def of(cls, content: Any) -> Record:
        """Make one of plain values, as ``dataclasses.asdict`` returns them.

        Raises:
            ValueError: other keys or types.
        """
        found = content.get("fingerprint") if isinstance(content, Mapping) else None
        if not isinstance(found, str) or not re.fullmatch("[0-9a-f]+", found):
            raise ValueError("a dict with a fingerprint is expected")
        source = content.get("source")
        if source is None:
            return cls(content["fingerprint"])
        if not isinstance(source, Mapping) or not set(source) <= set(Source.__dataclass_fields__):
            raise ValueError(f"source must be a dict of {', '.join(Source.__dataclass_fields__)}")
        if "model_name" not in source or not all(isinstance(t, str) and t.isprintable() for t in source.values()):
            raise ValueError("source must name its model_name, and hold text")
        return cls(content["fingerprint"], Source(**source))


def is_without_trunk(state: Mapping[str, Any]) -> bool:
    """Return whether a state dict was saved without the frozen trunk of one of its models."""
    return bool(_record_names(state))


def records_in(state: Mapping[str, Any]) -> dict[str, Record]:
    """Return what a state dict was saved without, by the prefix of the model's names.

    Raises:
        InputError: a damaged record.
    """
    return {name.removesuffix(RECORD): Record.decode(state[name]) for name in _record_names(state)}


def _record_names(state: Mapping[Any, Any]) -> list[str]:
    return [name for name in state if isinstance(name, str) and f".{name}".endswith(f".{RECORD}")]
