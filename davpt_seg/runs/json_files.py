"""Reading and atomic writing of JSON files."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path
from typing import Any, Optional

from ..replacing import replacing

logger = logging.getLogger("davpt_seg")


def read_json(path: Path, names_damage: bool = True) -> Optional[dict[str, Any]]:
    """Read a JSON file; None if it does not exist, is damaged, or holds anything but a non-empty mapping.

    Args:
        path: file.
        names_damage: whether to log the name of a damaged file, once.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, RecursionError):
        content = None
    if content and isinstance(content, dict):
        return content
    if names_damage:
        name_damaged(path)
    return None


_named: set[Path] = set()


def name_damaged(path: Path) -> None:
    """Log that a file is damaged and not used, once in this process."""
    if path not in _named:
        _named.add(path)
        logger.warning("%s is damaged and not used", path)


def is_number(value: Any) -> bool:
    """Return whether a value of a JSON file is a finite number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file, or replace it, in one step."""
    write_text(path, json.dumps(content, indent=1) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text file, or replace it, in one step."""
    with replacing(path, durable=True, shared=True) as part:
        part.write_text(text, encoding="utf-8")
