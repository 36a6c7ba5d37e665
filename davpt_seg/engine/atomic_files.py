"""Atomic writing of MMEngine's local files."""

from __future__ import annotations

from pathlib import Path
from typing import Union

from mmengine.fileio import LocalBackend, register_backend

from ..replacing import UNFINISHED, replacing


@register_backend("atomic_local")
class AtomicLocalBackend(LocalBackend):
    """Backend of local files that writes under another name, syncs to disk, and then renames."""

    def put(self, obj: bytes, filepath: Union[str, Path]) -> None:
        """Write bytes to a file."""
        with replacing(filepath, durable=True) as part, open(part, "wb") as file:
            file.write(obj)

    def put_text(self, obj: str, filepath: Union[str, Path], encoding: str = "utf-8") -> None:
        """Write text to a file."""
        self.put(obj.encode(encoding), filepath)


def remove_unfinished(folder: Union[str, Path]) -> list[str]:
    """Remove the unfinished files of killed processes from a folder, and return their names."""
    found = sorted(path for path in Path(folder).glob(f"*{UNFINISHED}") if path.is_file())
    for path in found:
        path.unlink()
    return [path.name for path in found]
