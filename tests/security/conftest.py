"""A real checkpoint, and a working folder in which a module waits to be imported."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.registry import Registry

from ..checkpoints import Trained


@pytest.fixture(scope="session")
def content(trained: Trained) -> dict[str, Any]:
    """What the checkpoint of a real training holds."""
    return torch.load(trained.checkpoint)


@pytest.fixture(scope="session")
def imported() -> None:
    """All of OpenMMLab's packages, which look for mmdet themselves when they are imported."""
    for scope in ("mmseg", "mmpretrain"):
        for registry in vars(importlib.import_module(f"{scope}.registry")).values():
            if isinstance(registry, Registry):
                registry.import_from_location()


def hide(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    """Forget that a package was imported, so that Python looks for it again."""
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)


@pytest.fixture
def trap(imported: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file that must not come to be. The working folder has a module that would create it, and a file ``evil``."""
    folder, target = tmp_path / "working", tmp_path / "created"
    folder.mkdir()
    (folder / "evil").touch()
    (folder / "creates_a_file.py").write_text(f"open({str(target)!r}, 'w').close()\n")
    (folder / "petrel_client.py").write_text("import creates_a_file\n")
    hide(monkeypatch, "mmdet")
    (folder / "mmdet").mkdir()  # a package that is allowed, and found here first
    (folder / "mmdet" / "__init__.py").write_text("import creates_a_file\n")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    before = set(os.listdir(tmp_path))
    yield target
    assert "creates_a_file" not in sys.modules
    assert {name for name in os.listdir(tmp_path) if name.startswith("created")} <= before
