"""JSON files that are whole or not there, whoever reads them meanwhile."""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path
from typing import Any, Optional


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
    os.replace(_unfinished(path, text), path)


def create_json(path: Path, content: Any) -> bool:
    """Write a JSON file that nobody else has written; of several that try, on any host, one succeeds.

    Returns:
        Whether it was us.
    """
    unfinished = _unfinished(path, json.dumps(content, indent=1) + "\n")
    try:
        os.link(unfinished, path)  # unlike a rename, refuses an existing name; and unlike open("x"), brings the content
    except FileExistsError:
        return False
    finally:
        unfinished.unlink()
    return True


def _unfinished(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    with open(unfinished, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return unfinished
