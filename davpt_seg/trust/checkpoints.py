"""MMEngine's reading of checkpoints, taken over: intact files only, as data only, with values that can be right.

MMEngine lets a loader register for each kind of address. Ours take the place of its own for local files, ``http(s)://``,
its model zoos and S3, so that ``load_from``, ``resume``, ``init_cfg``, ``runner.load_checkpoint`` and its inferencers
read through :func:`read`.
"""

from __future__ import annotations

import io
import os
import os.path as osp
from collections import deque
from collections.abc import Callable
from typing import IO, Any, Optional, Union
from urllib.parse import urlparse

import torch
import torch.distributed
from mmengine.dist import get_dist_info
from mmengine.fileio import get_file_backend
from mmengine.logging import print_log
from mmengine.runner import checkpoint as mmengine_checkpoint
from mmengine.runner.checkpoint import CheckpointLoader

from ..core.weights.damage import is_zip, zip_damage
from ..core.weights.files import UNREADABLE
from ..core.weights.unpickling import load_as_data, tensors_of
from ..core.weights.values import faults, some
from ..errors import InputError
from .config_check import check_config
from .config_text import evaluate
from .history import from_plain


def read(path: str, map_location: Any = "cpu", content: Optional[IO[bytes]] = None) -> Any:
    """Read a checkpoint, of MMEngine or another; as data, whatever it is.

    Args:
        path: the file, or the name for messages where ``content`` is given.
        map_location: as of ``torch.load``.
        content: the file's bytes.

    Raises:
        InputError: no such file, a damaged one, one that holds more than data, or weights that nothing trained.
    """
    if content is None and not osp.isfile(path):
        raise InputError(f"checkpoint {path!r} does not exist; tools/train.py writes them to its work dir")
    if content is None and not osp.getsize(path):
        raise InputError(f"checkpoint {path!r} is empty; copy it again")
    if content is None and is_zip(path) and (reason := zip_damage(path)):
        raise InputError(f"checkpoint {path!r} {reason}; copy it again, or take another one")
    try:
        found = load_as_data(content or path, map_location)
    except (ImportError, *UNREADABLE) as error:
        lines = (str(error) or type(error).__name__).rpartition("WeightsUnpickler error:")[2].strip().splitlines()
        raise InputError(
            f"checkpoint {path!r} is broken, no checkpoint, or holds more than data, which is not run: {lines[0]}"
        ) from error
    weights = dict(tensors_of(found.get("state_dict", found) if isinstance(found, dict) else found))
    if wrong := faults(weights):
        raise InputError(
            f"checkpoint {path!r} holds weights that no training leaves: {some(wrong)}. It was written by a training "
            "that diverged, or is damaged; take an earlier one"
        )
    if isinstance(found, dict) and isinstance(found.get("message_hub"), dict):
        found["message_hub"] = from_plain(found["message_hub"])
    return found


def for_mmengine(checkpoint: Any, path: str) -> Any:
    """Take out of a checkpoint, in place, what MMEngine would run, or delete files by.

    MMEngine runs the config texts in a checkpoint as Python: ``meta.config`` when it resumes, ``meta.cfg`` and the one
    in the message hub where an inferencer is given no config. It deletes the files that ``best_ckpt`` and
    ``keep_ckpt_ids`` name when it writes better or newer ones.
    """
    meta, known = _dict_in(checkpoint, "meta"), _dict_in(_dict_in(checkpoint, "message_hub"), "runtime_info")
    for place, key in ((meta, "config"), (meta, "cfg"), (known, "cfg")):
        if key in place and (reason := _runs(place[key])):
            del place[key]
            print_log(f"The config inside {path} is not used: {reason}", logger="current")
    for key in list(known):
        if not _is_beside(key, known[key], path):
            print_log(f"{key} inside {path} is not used: it names files elsewhere", logger="current")
            del known[key]
    return checkpoint


def _dict_in(content: Any, key: str) -> dict[str, Any]:
    """Return the dict under a key; an empty one where there is none."""
    found = content.get(key) if isinstance(content, dict) else None
    return found if isinstance(found, dict) else {}


def _runs(text: Any) -> str:
    """Return why MMEngine must not evaluate a config's text; nothing where it may."""
    try:
        check_config(evaluate(text))
    except InputError as error:
        return str(error)
    return "it holds a template, {{...}}" if "{{" in text else ""


def _is_beside(key: str, value: Any, path: str) -> bool:
    """Return whether what MMEngine would delete are numbered checkpoints, or best ones beside this file."""
    if key == "keep_ckpt_ids":
        return isinstance(value, (list, tuple, deque)) and all(type(number) is int for number in value)
    if key.startswith("best_ckpt") and isinstance(value, str):
        is_best = osp.basename(value).startswith("best_") and value.endswith(".pth")
        return is_best and osp.dirname(osp.realpath(value)) == osp.dirname(osp.realpath(path))
    return not key.startswith("best_ckpt") or value is None


@CheckpointLoader.register_scheme(prefixes="", force=True)
def load_from_local(filename: str, map_location: Any = None) -> Any:
    """Read a local checkpoint for MMEngine."""
    path = osp.expanduser(filename)
    return for_mmengine(read(path, map_location), path)


@CheckpointLoader.register_scheme(prefixes=("http://", "https://"), force=True)
def load_from_http(filename: str, map_location: Any = None) -> Any:
    """Download a checkpoint once, as MMEngine does, and read it; torch's own download would run a pickle."""
    folder = osp.join(torch.hub.get_dir(), "checkpoints")
    path = osp.join(folder, osp.basename(urlparse(filename).path))
    rank, processes = get_dist_info()
    if rank == 0 and not osp.exists(path):
        os.makedirs(folder, exist_ok=True)
        torch.hub.download_url_to_file(filename, path, progress=os.isatty(0))
    if processes > 1:
        torch.distributed.barrier()
    return load_from_local(path, map_location)


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
    content: Union[bytes, memoryview] = get_file_backend(filename, backend_args={"backend": backend}).get(filename)
    return for_mmengine(read(filename, map_location, io.BytesIO(content)), filename)


@CheckpointLoader.register_scheme(prefixes="pavi://", force=True)
def load_from_pavi(filename: str, map_location: Any = None) -> Any:
    """Refuse an address whose files MMEngine would run."""
    raise InputError(f"checkpoint {filename!r}: pavi:// is not read; download it, and give the file")
