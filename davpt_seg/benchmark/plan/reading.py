"""Reading of plan files, and of settings: tasks, trunks, seeds and words for a plan of variants."""

from __future__ import annotations

import os.path as osp
from collections import Counter
from collections.abc import Hashable
from pathlib import Path
from typing import Any, Optional

import yaml

from ...errors import InputError, nearest
from ...experiments.catalog import config_root
from .parts import read
from .schema import PlanFile, Setting


class _Loader(yaml.SafeLoader):
    """YAML loader that refuses a key that appears twice, which hides a value, and a list that holds itself."""

    def construct_document(self, node: yaml.Node) -> Any:
        return self.construct_object(node, deep=True)  # refuses recursive nodes

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = Counter((key.tag, key.value) for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        for (tag, key), count in keys.items():
            if count > 1 and tag != "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(None, None, f"{key!r} appears twice", node.start_mark)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> Any:
    """Read a file of a plan or a setting.

    Raises:
        InputError: the file cannot be read, or is no mapping.
    """
    name = f"plan {str(path)!r}"
    try:
        content = yaml.load(path.read_bytes(), _Loader)  # a SafeLoader
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{name} is no YAML: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"{name} must be a mapping, with keys such as tasks, trunks and methods")
    return content


def read_plan(path: Path, setting: Optional[str] = None, typed: Optional[PlanFile] = None) -> PlanFile:
    """Read a plan and merge it with its setting, if it has any, and the command line.

    The command line takes precedence over the plan, and the plan over the setting.

    Args:
        path: path of the plan.
        setting: one of the plan's settings; by default the first.
        typed: content of the command line.

    Returns:
        The plan, whose ``settings`` hold only the chosen one.

    Raises:
        InputError: a file cannot be read, or the plan does not list that setting.
    """
    typed = PlanFile() if typed is None else typed
    plan = read(PlanFile, read_yaml(path), searched=tuple(typed.grid or ()))
    if setting is not None and setting not in plan.settings:
        known = nearest(setting, plan.settings) if plan.settings else "it lists none under settings"
        raise InputError(f"plan {path.stem!r} has no setting {setting!r}; {known}")
    chosen = plan.settings[:1] if setting is None else (setting,)
    for name in chosen:
        plan = plan.over(_read_setting(path, name))
    common = {key: value for key, value in plan.common.items() if key not in (typed.grid or ())}
    return typed.over(plan.model_copy(update={"common": common, "settings": chosen}))


def _read_setting(plan: Path, name: str) -> Setting:
    beside, ours = plan.parent / f"{name}.yaml", config_root() / "benchmarks" / "settings" / f"{name}.yaml"
    path = beside if beside.is_file() else ours
    if not path.is_file():
        raise InputError(f"plan {plan.stem!r}: there is no setting {name!r}, neither {beside} nor {ours}")
    return read(Setting, read_yaml(path), f"setting {name!r}")


def known_plans() -> dict[str, Path]:
    """Return the plans of this package, by name."""
    folder = config_root() / "benchmarks"
    paths = [*sorted(folder.glob("*.yaml")), *sorted(folder.glob("ablations/*.yaml"))]
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in paths}


def find_plan(path_or_name: str) -> Path:
    """Find a plan: a file, or the name of one of ours."""
    if osp.isfile(path_or_name):  # Path.is_file raises on a name that is too long
        return Path(path_or_name)
    known = known_plans()
    if path_or_name not in known:
        raise InputError(f"plan {path_or_name!r} does not exist; {nearest(path_or_name, known)}")
    return known[path_or_name]
