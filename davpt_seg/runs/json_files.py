"""JSON files that are complete or not there, whichever process reads them meanwhile."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Optional

from ..replacing import replacing


def read_json(path: Path) -> Optional[Any]:
    """Read a JSON file; None where it is not there or was cut off while it was written."""
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file, or replace it, in one step."""
    write_text(path, json.dumps(content, indent=1) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text file, or replace it, in one step."""
    with replacing(path, durable=True, shared=True) as part:
        part.write_text(text)
