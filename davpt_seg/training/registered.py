"""Types of a config that no registry has, met before anything is built."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator, Mapping
from typing import Any

import mmengine.registry as registries
from mmengine.config import Config
from mmengine.registry import Registry, init_default_scope

from ..errors import InputError, nearest
from ..packages import NEEDED, install

CUSTOM = "if it is in a file of yours, import that in the config: custom_imports = dict(imports=['my_module'])"
NOT_REGISTERED = re.compile(r"(\S+) is not in the \S+::(.+) registry\.")
#: Keys of a config whose value is a dict with a type, or a list of them; ``*`` is any name.
PLACES: dict[str, Registry] = {
    "model": registries.MODELS,
    "model.backbone": registries.MODELS,
    "model.neck": registries.MODELS,
    "model.decode_head": registries.MODELS,
    "model.decode_head.loss_decode": registries.MODELS,
    "model.auxiliary_head": registries.MODELS,
    "model.head": registries.MODELS,
    "default_hooks.*": registries.HOOKS,
    "custom_hooks": registries.HOOKS,
    "optim_wrapper": registries.OPTIM_WRAPPERS,
    "optim_wrapper.optimizer": registries.OPTIMIZERS,
    "param_scheduler": registries.PARAM_SCHEDULERS,
    **{f"{split}_dataloader.dataset": registries.DATASETS for split in ("train", "val", "test")},
    **{f"{split}_dataloader.dataset.pipeline": registries.TRANSFORMS for split in ("train", "val", "test")},
    **{f"{split}_dataloader.sampler": registries.DATA_SAMPLERS for split in ("train", "val", "test")},
    **{f"{split}_evaluator": registries.METRICS for split in ("val", "test")},
}


def check_registered(cfg: Config) -> None:
    """Refuse a type that is misspelled, or whose module was not imported.

    Args:
        cfg: config of an experiment; types deeper than :data:`PLACES` are left to the libraries that build them.

    Raises:
        InputError: such a type, with its key and the nearest name; or a scope whose package is not installed.
    """
    scope = cfg.get("default_scope") or "mmseg"
    if scope in NEEDED and importlib.util.find_spec(scope) is None:
        raise InputError(f"default_scope = {scope!r} needs {NEEDED[scope]}, which is not installed: {install(scope)}")
    init_default_scope(scope)
    for place, registry in PLACES.items():
        for key, part in _parts(cfg._cfg_dict, place.split("."), ""):
            name = part.get("type")
            if isinstance(name, str) and find(name, registry) is None:
                raise InputError(f"{key}.type: {unregistered(name, registry)}")


def find(name: str, registry: Registry) -> Any:
    """Return what a registry has under a name, in the scope of the config; None for nothing."""
    with registry.switch_scope_and_registry(None) as scoped:
        return scoped.get(name)


def unregistered(name: str, registry: Registry) -> str:
    """Return a sentence about a name that a registry lacks."""
    with registry.switch_scope_and_registry(None) as scoped:
        known = {*scoped.module_dict, *(scoped.parent.module_dict if scoped.parent else ())}
    return f"{name!r} is not registered; {nearest(name, sorted(known), CUSTOM)}"


def plain_words(error: BaseException) -> str:
    """Return a sentence in place of MMEngine's message about an unknown type; nothing for any other error."""
    found = NOT_REGISTERED.match(str(error.args[0])) if isinstance(error, KeyError) and error.args else None
    known = {each.name: each for each in vars(registries).values() if isinstance(each, Registry)}
    return f"type {unregistered(found[1], known[found[2]])}" if found and found[2] in known else ""


def _parts(node: Any, path: list[str], key: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the dicts at a path below a node, with their keys."""
    if isinstance(node, (list, tuple)):
        for i, child in enumerate(node):
            yield from _parts(child, path, f"{key}.{i}")
    elif isinstance(node, Mapping) and path:
        for name in node if path[0] == "*" else [path[0]]:
            if name in node:
                yield from _parts(node[name], path[1:], f"{key}.{name}".lstrip("."))
    elif isinstance(node, Mapping):
        yield key, node
