"""Errors of several processes that torchrun started: each leaves a message, of which one is printed."""

from __future__ import annotations

import json
import os
import time
from typing import Any

#: Set by davpt_seg.runs.torchrun, which prints the first message.
TORCHRUN = "DAVPT_TORCHRUN"
FILE = "TORCHELASTIC_ERROR_FILE"  # set by torchrun for each process


def leave_message(text: str) -> bool:
    """Leave the message of an error to torchrun, which prints that of one process; return False where none does."""
    file = os.environ.get(FILE)
    if not file or not os.environ.get(TORCHRUN):
        return False
    message = dict(message=text, extraInfo=dict(py_callstack="", timestamp=str(int(time.time()))))
    with open(file, "w", encoding="utf-8") as opened:
        json.dump(dict(message=message), opened)
    return True


def left_message(content: Any) -> str:
    """Return the message in what torchrun read; nothing where a process left none."""
    message = content.get("message") if isinstance(content, dict) else None
    message = message.get("message") if isinstance(message, dict) else None
    return message if isinstance(message, str) else ""
