"""What MMEngine's message hub logs, as plain tensors in a checkpoint and as histories in a training."""

from __future__ import annotations

from typing import Any, Optional

import numpy as np
import torch
from mmengine.logging.history_buffer import HistoryBuffer
from torch import Tensor

from ..core.weights.unpickling import History

PLAIN = {"values", "counts", "max_length"}


def to_plain(message_hub: dict[str, Any]) -> dict[str, Any]:
    """Return the state of a message hub without classes: histories as tensors, numpy's numbers as Python's.

    ``torch.load`` reads it without knowing MMEngine. :func:`from_plain` undoes it exactly.
    """
    logged = {
        name: dict(
            values=torch.from_numpy(np.array(history._log_history)),
            counts=torch.from_numpy(np.array(history._count_history)),
            max_length=history.max_length,
        )
        for name, history in message_hub["log_scalars"].items()
    }
    known = {name: _number(value) for name, value in message_hub["runtime_info"].items()}
    return {**message_hub, "log_scalars": logged, "runtime_info": known}


def _number(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {_number(key): _number(entry) for key, entry in value.items()}
    return [_number(entry) for entry in value] if isinstance(value, list) else value


def from_plain(message_hub: dict[str, Any]) -> dict[str, Any]:
    """Return the state of a message hub as MMEngine needs it; of old checkpoints too, which hold :class:`History`.

    Raises:
        AttributeError, TypeError, ValueError: it is no such state.
    """
    logged = {name: _history(entry) for name, entry in (message_hub.get("log_scalars") or {}).items()}
    return {**message_hub, "log_scalars": {name: entry for name, entry in logged.items() if entry is not None}}


def _history(entry: Any) -> Optional[HistoryBuffer]:
    if isinstance(entry, dict) and entry.keys() == PLAIN and isinstance(entry["values"], Tensor):
        values, counts = entry["values"].cpu().numpy(), entry["counts"].cpu().numpy()
        read = History()
        read.__setstate__(dict(_log_history=values, _count_history=counts, max_length=entry["max_length"]))
    elif isinstance(entry, History):
        read = entry
    else:
        return None
    history = HistoryBuffer(max_length=read.max_length)
    history._log_history, history._count_history = read.values, read.counts
    return history
