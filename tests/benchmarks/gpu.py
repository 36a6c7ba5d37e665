"""Import of the parts of benchmarks/gpu_check.py as the script does it."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def part(name: str) -> ModuleType:
    """Import a module of benchmarks/gpu, or a script next to that folder."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(BENCHMARKS))
