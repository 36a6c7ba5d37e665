"""Fixtures that several folders share."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from .checkpoints import Trained, tiny_trained
from .scenes import write_camvid

torch.set_num_threads(1)  # the machine is small and tests' tensors are tiny


@pytest.fixture(scope="session")
def camvid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny data set in CamVid's layout."""
    return write_camvid(tmp_path_factory.mktemp("camvid"))


@pytest.fixture(scope="session")
def trained(camvid: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A tiny model with the checkpoint of a real, short training."""
    return tiny_trained(camvid, tmp_path_factory.mktemp("trained"))
