"""The configs that come with davpt_seg, found by name: ``davpt/upernet_vitl_ade20k`` wherever the package lies.

Works without OpenMMLab, as ``davpt-seg configs`` should.
"""

from __future__ import annotations

import fnmatch
from pathlib import Path
from typing import Union

from ..errors import InputError, nearest

PACKAGE = Path(__file__).resolve().parents[1]
LISTING = "'davpt-seg configs' lists those that come with us"


def config_root() -> Path:
    """Find the folder of the configs that come with us.

    Raises:
        InputError: neither an installed package nor a checkout has them.
    """
    # An installed package has them under .mim (setup.py puts them there), an editable one in the checkout around it.
    candidates = (PACKAGE / ".mim" / "configs", PACKAGE.parent / "configs")
    for folder in candidates:
        if (folder.parent / "model-index.yml").is_file() and folder.is_dir():
            return folder
    raise InputError(
        f"no configs beside the package: neither {candidates[0]} nor {candidates[1]} is there. "
        "Install davpt_seg from its checkout, by 'pip install .' or 'pip install -e .'"
    )


def config_names(pattern: str = "*") -> list[str]:
    """List the names of the experiments that come with us, ``_base_`` files left out.

    Args:
        pattern: a part of the name, or with ``*``, ``?`` or ``[`` a pattern of the whole name, as in a shell.
    """
    root = config_root()
    experiments = (path.relative_to(root) for path in root.rglob("*.py") if "_base_" not in path.parts)
    wanted = pattern if any(sign in pattern for sign in "*?[") else f"*{pattern}*"
    return sorted(fnmatch.filter((path.with_suffix("").as_posix() for path in experiments), wanted))


def find_config(path_or_name: Union[str, Path]) -> str:
    """Turn what a user typed into the path of a config.

    Args:
        path_or_name: a file's path, else a name such as ``davpt/upernet_vitl_ade20k``; with or without ``configs/``
            before and ``.py`` after it.

    Raises:
        InputError: it is neither; the message tells which names are close.
    """
    given = Path(path_or_name)
    if given.is_file():
        return str(given)
    name = given.as_posix().removeprefix("configs/").removesuffix(".py")
    packaged = config_root() / f"{name}.py"
    if name in config_names():
        return str(packaged)
    raise InputError(f"config {str(path_or_name)!r} does not exist; {nearest(name, config_names(), LISTING)}")
