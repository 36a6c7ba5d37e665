"""Import of a package's names on first use (PEP 562)."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Callable


def on_first_use(package: str, **modules: tuple[str, ...]) -> Callable[[str], Any]:
    """Return a package's ``__getattr__``, so that importing one of its modules does not import all others.

    Modules of the package are imported on first use, too: ``package.module`` needs no import statement. A name must
    differ from the names of the package's modules, because importing a module binds its name.

    Args:
        package: ``__name__`` of the package.
        **modules: names to import, by module of the package; ``.other`` is a module next to the package.
    """
    home = {name: module for module, names in modules.items() for name in names}

    def __getattr__(name: str) -> Any:
        if name not in home:
            if name.startswith("_") or find_spec(f"{package}.{name}") is None:
                raise AttributeError(f"module {package!r} has no attribute {name!r}")
            return import_module(f"{package}.{name}")
        value = getattr(import_module(f".{home[name]}", package), name)
        setattr(sys.modules[package], name, value)
        return value

    return __getattr__
