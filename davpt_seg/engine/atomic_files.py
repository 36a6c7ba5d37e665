"""Files that are either whole or not there, whatever kills the process that writes them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Union

from mmengine.fileio import LocalBackend, register_backend

UNFINISHED = ".unfinished"


@register_backend("atomic_local")
class AtomicLocalBackend(LocalBackend):
    """MMEngine's local files, written under another name, brought to the disk, and then renamed."""

    def put(self, obj: bytes, filepath: Union[str, Path]) -> None:
        """Write bytes."""
        path = Path(filepath)
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(path.name + UNFINISHED)
        with open(unfinished, "wb") as file:
            file.write(obj)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
        _sync_folder(path.parent)

    def put_text(self, obj: str, filepath: Union[str, Path], encoding: str = "utf-8") -> None:
        """Write text."""
        self.put(obj.encode(encoding), filepath)


def _sync_folder(folder: Path) -> None:
    """Bring a folder's names to the disk: without it, a power cut may undo the renaming."""
    if os.name != "posix":  # Windows opens no folders
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_unfinished(folder: Union[str, Path]) -> list[str]:
    """Remove what a killed process left in a folder, and return the names."""
    found = sorted(path for path in Path(folder).glob(f"*{UNFINISHED}") if path.is_file())
    for path in found:
        path.unlink()
    return [path.name for path in found]
