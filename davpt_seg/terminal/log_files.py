"""Messages for the log files alone."""

from __future__ import annotations

import logging
import sys
from typing import Any


def log_to_files(text: str, level: int) -> list[str]:
    """Write a message into the log files that MMEngine has open, and not to the terminal; return their names."""
    loggers: Any = getattr(sys.modules.get("mmengine.logging"), "MMLogger", None)
    if not getattr(loggers, "_instance_dict", None):  # a new logger would import all of MMEngine first
        return []
    log = loggers.get_current_instance()
    files = [handler for handler in log.handlers if isinstance(handler, logging.FileHandler)]
    for handler in files:
        handler.handle(log.makeRecord(log.name, level, "", 0, text, (), None))
    return [handler.baseFilename for handler in files]
