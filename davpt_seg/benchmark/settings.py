"""Plan files, and settings: on what (tasks, trunks, seeds, words) a plan of variants is run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional

import yaml

from ..errors import InputError, nearest
from ..experiments.catalog import config_root
from .checks import check_folder, check_keys
from .values import list_of

# What a setting may say, and a plan's own keys then add to or take the place of.
SETTING_KEYS = ("tasks", "trunks", "seeds", "amp", "common", "cfg_options", "grid")


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a plan or a setting.

    Raises:
        InputError: it cannot be read, or is no mapping.
    """
    try:
        content = yaml.safe_load(path.read_text())
    except OSError as error:
        raise InputError(f"plan {str(path)!r} cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise InputError(f"plan {str(path)!r} is no YAML: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"plan {str(path)!r} must be a mapping, with keys such as tasks, trunks and methods")
    return content


def read_plan(path: Path, setting: Optional[str] = None) -> dict[str, Any]:
    """Read a plan, and put it over its setting if it has any.

    Args:
        path: of the plan.
        setting: one of those that the plan lists; by default the first.

    Raises:
        InputError: either cannot be read, or the plan does not list that setting.
    """
    plan = read_yaml(path)
    listed = list_of(plan.pop("settings", None), "settings")
    if setting is not None and setting not in listed:
        told = nearest(setting, listed) if listed else "it lists none under settings"
        raise InputError(f"plan {path.stem!r} has no setting {setting!r}; {told}")
    if not listed:
        return plan
    return _over(plan, _read_setting(path, setting or str(listed[0])))


def setting_of(path: Path, setting: Optional[str]) -> Optional[str]:
    """Return the setting that a plan is run on; None where it has none."""
    listed = list_of(read_yaml(path).get("settings"), "settings")
    return setting or (str(listed[0]) if listed else None)


def _read_setting(plan: Path, name: str) -> dict[str, Any]:
    check_folder(name, f"plan {plan.stem!r}, settings")
    beside, ours = plan.parent / f"{name}.yaml", config_root() / "benchmarks" / "settings" / f"{name}.yaml"
    path = beside if beside.is_file() else ours
    if not path.is_file():
        raise InputError(f"plan {plan.stem!r}: there is no setting {name!r}, neither {beside} nor {ours}")
    content = read_yaml(path)
    check_keys(content, SETTING_KEYS, f"setting {name!r}")
    return content


def _over(plan: Mapping[str, Any], setting: Mapping[str, Any]) -> dict[str, Any]:
    common = {**(setting.get("common") or {}), **(plan.get("common") or {})}
    options = list_of(setting.get("cfg_options"), "cfg_options") + list_of(plan.get("cfg_options"), "cfg_options")
    return {**setting, **plan, "common": common, "cfg_options": options}
