"""Where the files of an adapter folder are: a local folder's, checked before they are opened."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Protocol, Union

from ...errors import InputError

CONFIG, TENSORS, CARD, FIGURE = "adapter_config.json", "adapter_model.safetensors", "README.md", "figure.png"
#: All that a folder may hold; the first two are read.
FILES = (CONFIG, TENSORS, CARD, FIGURE)
#: Most bytes of each.
MOST = {CONFIG: 2**20, TENSORS: 2**33, CARD: 2**20, FIGURE: 2**25}
HUB = "hub:"


class Place(Protocol):
    """Where the files of an adapter are."""

    name: str

    def file(self, name: str) -> Path:
        """Return the path of a file, which is there, is a regular file, and is no larger than :data:`MOST`."""

    def beside(self, name: str) -> Path:
        """Return the path of a file next to the folder, whether it is there or not."""


def is_folder(folder: Union[str, os.PathLike[str]]) -> bool:
    """Return whether a name is that of an adapter folder rather than of a file."""
    text = os.fspath(folder)
    return text.startswith(HUB) or os.path.isdir(text)


def check_adapter_folder(name: str) -> None:
    """Refuse a local folder that is no adapter folder; pass over other names.

    Raises:
        InputError: such a folder; the message names a checkpoint in it.
    """
    if os.path.isdir(name):
        LocalPlace(Path(name)).file(CONFIG)


class LocalPlace:
    """A local folder, in which no file is a link, a FIFO or a device.

    Raises:
        InputError: no such folder, or a file that is something else than a file.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, f"adapter folder {str(path)!r}"
        if not path.is_dir():
            wrong = "is not a folder" if path.exists() else f"does not exist (seen from {Path.cwd()})"
            raise InputError(f"{self.name} {wrong}; davpt-seg export CHECKPOINT --out DIR writes one")
        for name in FILES:
            if os.path.lexists(path / name):
                check_file(path / name, name, self.name)

    def file(self, name: str) -> Path:
        """Return the path of a file."""
        if not os.path.lexists(self.path / name):
            raise InputError(
                f"{self.name} has no {name}, which davpt-seg export and save_adapter write{self._training()}"
            )
        check_file(self.path / name, name, self.name)
        return self.path / name

    def beside(self, name: str) -> Path:
        """Return the path of a file next to the folder."""
        return self.path.resolve().parent / name

    def _training(self) -> str:
        """Return which checkpoint to give where the folder is that of a training."""
        found = sorted(self.path.glob("*.pth"), key=lambda path: path.stat().st_mtime)
        return f". It is the folder of a training: give a checkpoint in it, such as {found[-1]}" if found else ""


def check_file(path: Path, name: str, where: str) -> None:
    """Refuse what is no regular file, or is empty or too large, without opening it.

    Raises:
        InputError: such a file.
    """
    found = os.lstat(path)
    if stat.S_ISLNK(found.st_mode):
        raise InputError(f"{where}: {name} is a link, which may lead anywhere; copy the file that it leads to")
    if not stat.S_ISREG(found.st_mode):
        raise InputError(f"{where}: {name} is no regular file; get the folder again")
    if not found.st_size:
        raise InputError(f"{where}: {name} is empty; copy it again")
    if found.st_size > MOST[name]:
        raise InputError(f"{where}: {name} has {found.st_size:,} bytes, and at most {MOST[name]:,} are read")
