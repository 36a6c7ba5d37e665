"""The config inside a checkpoint, checked for all by which MMEngine imports, calls or reads something.

The file may be a stranger's. MMEngine imports what ``custom_imports``, ``_scope_``, ``default_scope`` and dotted types
name, calls any type, and some registered classes read files, addresses or code by their arguments.
"""

from __future__ import annotations

import importlib
import os.path as osp
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Optional

from mmengine.registry import Registry, root

from ..core.adapters import ADAPTERS
from ..errors import InputError
from .packages import PACKAGES, SCOPES, UNSAFE_MODULES, folder_of, is_module, may_be_in_working_folder

# Parts that are built to predict, and the registries that build them. Their strings are names of things, never files or
# addresses.
MODEL_PARTS = ("model", "task util", "weight initializer", "batch augment")
BUILT = {
    "model": MODEL_PARTS,
    "tta_model": MODEL_PARTS,
    "tta_pipeline": ("transform",),
    "test_pipeline": ("transform",),
    "test_dataloader.dataset.pipeline": ("transform",),
}
FILE = re.compile(r".*[/\\:].*|.*\.(?:pkl|pickle|pth?|bin|ckpt|tar|np[yz]|py|ya?ml|json|onnx|so|txt|gz)", re.S)
SOURCES = ("pretrained", "init_cfg")  # of weights; those of a checkpoint take their place
DOWNLOADS = ("TIMMBackbone", "mmseg.TIMMBackbone", "mmpretrain.TIMMBackbone")  # unless told pretrained=False
# Values that MMEngine takes for names of registered things, and imports where they are none.
NAMED = {"norm_layer": ("model",), "collate_fn": ("function",), "worker_init_fn": ("function",)}


def check_config(config: Mapping[str, Any]) -> None:
    """Refuse a config that reaches more than the registered classes of OpenMMLab's packages and ours.

    Args:
        config: a stranger's, evaluated by :func:`~davpt_seg.trust.config_text.evaluate`.

    Raises:
        InputError: the first such key, with its place and value.
    """
    scope = "mmseg" if config.get("default_scope") is None else config["default_scope"]
    _check_scope(scope, "default_scope")
    for node in _nodes(config, scope):
        _check_node(node)


def without_sources(config: Mapping[str, Any]) -> None:
    """Empty what a model would be initialised from, in place: all its weights come from the checkpoint."""
    for node in _nodes(config, ""):
        if node.place.startswith(("model", "tta_model")) and node.entries.get("type") != "PromptedViT":  # reads later
            for key in SOURCES:
                if key in node.entries:
                    node.entries[key] = False if isinstance(node.entries[key], bool) else None
            if node.entries.get("type") in DOWNLOADS:
                node.entries["pretrained"] = False


class _Node(NamedTuple):
    """A dict of a config: its place, and the scope that its class is searched in."""

    place: str
    entries: dict[str, Any]
    scope: Any

    def at(self, key: object) -> str:
        return f"{self.place}.{key}".lstrip(".")


def _nodes(entry: Any, scope: Any, place: str = "") -> Iterator[_Node]:
    items: Iterable[tuple[Any, Any]] = enumerate(entry) if isinstance(entry, (list, tuple)) else ()
    if isinstance(entry, dict):
        scope, items = entry.get("_scope_") or scope, entry.items()
        yield _Node(place, entry, scope)
    for key, value in items:
        yield from _nodes(value, scope, f"{place}.{key}".lstrip("."))


def _check_node(node: _Node) -> None:
    part = next((part for part in BUILT if f"{node.place}.".startswith(f"{part}.")), None)
    _check_scope(node.scope, node.at("_scope_"))
    if "type" in node.entries and not node.place.endswith("optim_wrapper.clip_grad"):  # by norm or value: no class
        _check_type(node, BUILT[part] if part else None)
    for key, value in node.entries.items():
        at = node.at(key)
        if key in ("_base_", "sys_path"):
            raise InputError(f"{at} = {value!r} would read another file")
        if key == "custom_imports":
            _check_imports(value, at)
        if isinstance(value, str):
            if key in NAMED and not _is_for_timm(node):
                _check_name(value, node.scope, NAMED[key], at)
            if part and key != "type" and _is_file(value) and not _is_source(node, key):
                raise InputError(f"{at} = {value!r} names a file or an address")
            if (key, value) in (("backend", "memcached"), ("decode_backend", "pickle")):
                raise InputError(f"{at} = {value!r} would run code of a file")
            if key == "save_dir" and node.place.startswith("visualizer"):
                raise InputError(f"{at} = {value!r} would write there")
        if part and isinstance(value, (list, tuple)):
            for entry in value:
                if isinstance(entry, str) and _is_file(entry):
                    raise InputError(f"{at} holds {entry!r}, which names a file or an address")


def _is_for_timm(node: _Node) -> bool:
    """Return whether a dict holds arguments that timm reads, which has names of its own and imports none."""
    return node.place.endswith(".timm_kwargs") and "type" not in node.entries


def _is_file(value: str) -> bool:
    """Return whether a string looks like a file or an address, or names a file of the working folder."""
    return bool(FILE.fullmatch(value)) or osp.isfile(value)


def _is_source(node: _Node, key: str) -> bool:
    """Return whether a string says where weights come from, which nothing reads that predicts."""
    places = node.place.split(".")
    return key in SOURCES or "init_cfg" in places or "weights" in (key, places[-1])


def _check_scope(scope: Any, at: str) -> None:
    if scope not in SCOPES or may_be_in_working_folder(scope):
        raise InputError(f"{at} = {scope!r} would import that package; known are {', '.join(SCOPES)}")


def _check_imports(value: Any, at: str) -> None:
    imports = value.get("imports") if isinstance(value, Mapping) else value
    names = list(imports) if isinstance(imports, (list, tuple)) else [imports] if imports else []
    for name in names:
        if not is_module(name):
            raise InputError(f"{at} would import {name!r}; only modules of {', '.join(PACKAGES)} are imported")


def _check_type(node: _Node, registries: Optional[Collection[str]]) -> None:
    kind, at = node.entries["type"], node.at("type")
    if not isinstance(kind, str):
        raise InputError(f"{at} = {kind!r} must be the name of a registered class")
    if not (kind in ADAPTERS and re.fullmatch(r".*\.adapters\.\d+", node.place)):
        _check_name(kind, node.scope, registries, at)


def _check_name(name: str, scope: str, registries: Optional[Collection[str]], at: str) -> None:
    prefix, _, own = name.rpartition(".")
    if "/" not in name and (not prefix or (prefix in SCOPES and not may_be_in_working_folder(prefix))):
        registered = list(_registered(own, prefix or scope, registries))
        if any(getattr(found, "__module__", "").startswith(UNSAFE_MODULES) for found in registered):
            raise InputError(f"{at} = {name!r} may read files or run code by its arguments")
        if registered:
            return
    raise InputError(f"{at} = {name!r} is no class that {', '.join(SCOPES)} register for it")


def _registered(name: str, scope: str, registries: Optional[Collection[str]]) -> Iterator[Any]:
    """Yield the classes of a name that a scope's configs can build."""
    modules = [root]
    if scope in ("mmseg", "mmpretrain", "mmdet") and folder_of(scope):
        modules.insert(0, importlib.import_module(f"{scope}.registry"))
    for registry in [value for module in modules for value in vars(module).values() if isinstance(value, Registry)]:
        if registries is None or registry.name.replace("_", " ") in registries:
            registry.import_from_location()
            if name in registry.module_dict:
                yield registry.module_dict[name]
