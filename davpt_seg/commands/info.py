"""Report of installed packages, the OpenMMLab stack and missing packages; it works without any stack."""

from __future__ import annotations

import ctypes
import platform
import runpy
import sys
from collections.abc import Sequence
from importlib import metadata, util
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any, Optional

from .. import __version__, compat
from ..experiments.catalog import config_root
from ..long_work import usable_cores
from ..packages import DISTRIBUTIONS, OPTIONAL, install
from ..terminal.ending import command
from ..terminal.parser import CommandParser

CORE = ("torch", "torchvision", "timm", "numpy", "scikit-learn", "safetensors")


@command
def main_info(argv: Optional[Sequence[str]] = None) -> None:
    """Print versions, the stack, devices and what is missing: ``davpt-seg info``."""
    CommandParser(
        description="Print versions, which OpenMMLab stack is installed, the devices, and what is missing. "
        "Paste it into a bug report."
    ).parse_args(argv)
    print("\n".join(report()))


def report() -> list[str]:
    """Return one line about each requirement of a training."""
    lines = [f"davpt_seg {__version__}, Python {platform.python_version()}, {platform.platform()}"]
    lines += [_package(name) for name in CORE]
    lines += _stack()
    lines += [_optional(name) for name in OPTIONAL]
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


def _optional(name: str) -> str:
    """Return the version of an optional library and what needs it, or how to install it."""
    distribution, use = DISTRIBUTIONS.get(name, name), OPTIONAL[name].use
    version = _version(distribution)
    return (
        f"{distribution} {version} ({use})" if version else f"{distribution}: not installed; for {use}: {install(name)}"
    )


def _stack() -> list[str]:
    """Name the OpenMMLab stack and the versions of its packages."""
    try:
        found = compat.check_stack()
    except ImportError as error:
        return [f"stack: {error}"]
    if not found:
        return ["stack: MISSING, pip install '.[openmmlab]' in a checkout; only davpt_seg.core is usable without it"]
    fork = any(_version(name) for name in compat.STACKS.values())
    title = "the maintained fork (onedl)" if fork else "OpenMMLab's own packages"
    names = [compat.STACKS[name] if fork else name for name in compat.STACKS]
    if not fork and _version("mmcv"):
        names = [name.replace("mmcv-lite", "mmcv") for name in names]
    ops = "compiled" if _mmcv_is_compiled() else "not compiled (not needed by our configs)"
    return [f"stack: {title}", *(f"  {_package(name)}" for name in names), f"  mmcv.ops: {ops}"]


def _mmcv_is_compiled() -> bool:
    """Look for ``mmcv._ext`` without importing mmcv, unlike ``find_spec("mmcv._ext")``."""
    mmcv = util.find_spec("mmcv")
    return mmcv is not None and PathFinder.find_spec("_ext", mmcv.submodule_search_locations) is not None


def _devices() -> str:
    """Describe the devices of a training; torch is imported only if it may find a GPU."""
    if _may_have_gpu():
        import torch

        if torch.cuda.is_available():
            names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
            return f"devices: {len(names)} GPU ({', '.join(sorted(set(names)))}), CUDA {torch.version.cuda}"
    return f"devices: CPU only, {usable_cores()} cores; several processes communicate by gloo"


def _may_have_gpu() -> bool:
    """Return whether torch is built for GPUs and, for CUDA, the driver's library exists."""
    build = _torch_build()
    if build.get("hip"):
        return True
    if not build.get("cuda"):
        return False
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True


def _torch_build() -> dict[str, Any]:
    """Read ``torch.version`` without importing torch; empty if torch is missing."""
    torch = util.find_spec("torch")
    if torch is None or torch.origin is None:
        return {}
    return runpy.run_path(str(Path(torch.origin).with_name("version.py")))
