"""MMEngine's reading of checkpoints, taken over for every kind of address.

MMEngine lets a loader register for each. Ours replace MMEngine's for local files, ``http(s)://``, its model zoos
and S3, so that ``load_from``, ``resume``, ``init_cfg``, ``runner.load_checkpoint`` and its inferencers read through
:func:`~davpt_seg.trust.checkpoints.read`. Importing this module registers them.
"""

from __future__ import annotations

import io
import os
import os.path as osp
import sys
from collections.abc import Callable
from typing import Any
from urllib.parse import urlparse

import torch
from mmengine.dist import barrier, is_main_process
from mmengine.fileio import get_file_backend
from mmengine.runner import checkpoint as mmengine_checkpoint
from mmengine.runner.checkpoint import CheckpointLoader

from ..errors import InputError
from .checkpoints import read
from .for_mmengine import for_mmengine


@CheckpointLoader.register_scheme(prefixes="", force=True)
def load_from_local(filename: str, map_location: Any = None) -> Any:
    """Read a local checkpoint for MMEngine."""
    path = osp.expanduser(filename)
    return for_mmengine(read(path, map_location), path)


@CheckpointLoader.register_scheme(prefixes=("http://", "https://"), force=True)
def load_from_http(filename: str, map_location: Any = None) -> Any:
    """Download a checkpoint once, as MMEngine does, and read it; torch's own download would run a pickle."""
    path = osp.join(torch.hub.get_dir(), "checkpoints", osp.basename(urlparse(filename).path))
    if is_main_process():
        _download(filename, path)
    barrier()
    _download(filename, path)  # on machines that share no folder with the main process
    return load_from_local(path, map_location)


def _download(address: str, path: str) -> None:
    if not osp.exists(path):
        os.makedirs(osp.dirname(path), exist_ok=True)
        torch.hub.download_url_to_file(address, path, progress=sys.stderr.isatty())


@CheckpointLoader.register_scheme(prefixes=("modelzoo://", "torchvision://"), force=True)
def load_from_torchvision(filename: str, map_location: Any = None) -> Any:
    """Read one of torchvision's published checkpoints."""
    return load_from_http(_published(filename, mmengine_checkpoint.get_torchvision_models), map_location)


@CheckpointLoader.register_scheme(prefixes=("open-mmlab://", "openmmlab://"), force=True)
def load_from_openmmlab(filename: str, map_location: Any = None) -> Any:
    """Read one of OpenMMLab's published checkpoints."""
    name = filename.partition("://")[2]
    renamed = mmengine_checkpoint.get_deprecated_model_names()
    found = _published(f"openmmlab://{renamed.get(name, name)}", mmengine_checkpoint.get_external_models)
    if urlparse(found).scheme in ("http", "https"):
        return load_from_http(found, map_location)
    return load_from_local(osp.join(mmengine_checkpoint._get_mmengine_home(), found), map_location)


@CheckpointLoader.register_scheme(prefixes="mmcls://", force=True)
def load_from_mmcls(filename: str, map_location: Any = None) -> Any:
    """Read one of MMClassification's published checkpoints."""
    loaded = load_from_http(_published(filename, mmengine_checkpoint.get_mmcls_models), map_location)
    return mmengine_checkpoint._process_mmcls_checkpoint(loaded)


def _published(filename: str, models: Callable[[], dict[str, str]]) -> str:
    scheme, _, name = filename.partition("://")
    known: dict[str, str] = models()
    if name not in known:
        raise InputError(f"checkpoint {filename!r}: {scheme} publishes no {name!r}")
    return known[name]


@CheckpointLoader.register_scheme(prefixes=[r"(\S+\:)?s3://", r"(\S+\:)?petrel://"], force=True)
def load_from_ceph(filename: str, map_location: Any = None, backend: str = "petrel") -> Any:
    """Read a checkpoint from S3."""
    content = get_file_backend(filename, backend_args={"backend": backend}).get(filename)
    return for_mmengine(read(filename, map_location, io.BytesIO(content)), filename)


@CheckpointLoader.register_scheme(prefixes="pavi://", force=True)
def load_from_pavi(filename: str, map_location: Any = None) -> Any:
    """Refuse an address whose files MMEngine would run."""
    raise InputError(f"checkpoint {filename!r}: pavi:// is not read; download it, and give the file")
