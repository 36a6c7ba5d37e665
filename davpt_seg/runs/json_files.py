"""Reading and atomic writing of JSON files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Optional

from ..replacing import replacing


def read_json(path: Path) -> Optional[dict[str, Any]]:
    """Read a JSON file; None if it does not exist, is damaged, or holds anything but a non-empty mapping."""
    try:
        content = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError, ValueError, RecursionError):
        return None
    return content if content and isinstance(content, dict) else None


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file, or replace it, in one step."""
    write_text(path, json.dumps(content, indent=1) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text file, or replace it, in one step."""
    with replacing(path, durable=True, shared=True) as part:
        part.write_text(text)
