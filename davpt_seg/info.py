"""What is installed, which of the two OpenMMLab stacks it is, and what is missing; works without either."""

from __future__ import annotations

import argparse
import platform
from collections.abc import Sequence
from importlib import metadata, util
from typing import Optional

import torch

from . import __version__, compat
from .packaged_configs import config_root

CORE = ("torch", "torchvision", "timm", "numpy", "scikit-learn", "safetensors")
OPTIONAL = {
    "rich": "tools with pictures and tables",
    "matplotlib": "pictures",
}


def main_info(argv: Optional[Sequence[str]] = None) -> None:
    """Print versions, the stack, devices and what is missing: ``davpt-seg info``."""
    argparse.ArgumentParser(
        description="Print versions, which OpenMMLab stack is installed, the devices, and what is missing. "
        "Paste it into a bug report."
    ).parse_args(argv)
    print("\n".join(report()))


def report() -> list[str]:
    """Write one line about each thing that decides whether a training can start."""
    lines = [f"davpt_seg {__version__}, Python {platform.python_version()}, {platform.platform()}"]
    lines += [_package(name) for name in CORE]
    lines += _stack()
    lines += [_package(name, f"optional: {use}") for name, use in OPTIONAL.items()]
    lines += [_devices(), f"configs: {config_root()}"]
    return lines


def _version(distribution: str) -> Optional[str]:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _package(distribution: str, note: str = "") -> str:
    version = _version(distribution)
    if version:
        return f"{distribution} {version}"
    return f"{distribution}: MISSING, {note or f'pip install {distribution}'}"


def _stack() -> list[str]:
    """Name the OpenMMLab stack and the versions of its packages."""
    if not compat.check_stack():
        return ["stack: MISSING, pip install '.[openmmlab]' in a checkout; only davpt_seg.core is usable without it"]
    fork = any(_version(name) for name in compat.STACKS.values())
    title = "the maintained fork (onedl)" if fork else "OpenMMLab's own packages"
    names = [compat.STACKS[name] if fork else name for name in compat.STACKS]
    if not fork and _version("mmcv"):
        names = [name.replace("mmcv-lite", "mmcv") for name in names]
    compiled = util.find_spec("mmcv._ext") is not None
    ops = "compiled" if compiled else "not compiled (not needed by our configs)"
    return [f"stack: {title}", *(f"  {_package(name)}" for name in names), f"  mmcv.ops: {ops}"]


def _devices() -> str:
    """Say what a training would run on."""
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
        return f"devices: {len(names)} GPU ({', '.join(sorted(set(names)))}), CUDA {torch.version.cuda}"
    return f"devices: CPU only, {torch.get_num_threads()} threads; several processes talk by gloo"
