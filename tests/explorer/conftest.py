"""Image files of several files of tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from .images import content


@pytest.fixture(scope="session")
def two_images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two images with 4 x 3 and 2 x 3 patches."""
    folder = tmp_path_factory.mktemp("images")
    paths = [folder / "one.jpg", folder / "two.png"]
    paths[0].write_bytes(content(64, 48))
    paths[1].write_bytes(content(32, 40, "PNG"))
    return paths
