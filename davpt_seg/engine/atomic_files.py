"""MMEngine's local files, complete or not there, whatever ends the process that writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Union

from mmengine.fileio import LocalBackend, register_backend

from ..replacing import UNFINISHED, replacing


@register_backend("atomic_local")
class AtomicLocalBackend(LocalBackend):
    """MMEngine's local files, written under another name, brought to the disk, and then renamed."""

    def put(self, obj: bytes, filepath: Union[str, Path]) -> None:
        """Write bytes."""
        with replacing(filepath, durable=True) as part, open(part, "wb") as file:
            file.write(obj)

    def put_text(self, obj: str, filepath: Union[str, Path], encoding: str = "utf-8") -> None:
        """Write text."""
        self.put(obj.encode(encoding), filepath)


def remove_unfinished(folder: Union[str, Path]) -> list[str]:
    """Remove what a killed process left in a folder, and return the names."""
    found = sorted(path for path in Path(folder).glob(f"*{UNFINISHED}") if path.is_file())
    for path in found:
        path.unlink()
    return [path.name for path in found]
