"""The config inside a checkpoint, checked for all by which MMEngine imports, calls or reads something.

The file may be a stranger's. MMEngine imports what ``custom_imports``, ``_scope_``, ``default_scope`` and dotted types
name, calls any type, and some registered classes read files, addresses or code by their arguments.
"""

from __future__ import annotations

import importlib
import os.path as osp
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple, Optional

from mmengine.registry import Registry, root

from ..core.adapters import ADAPTERS
from ..errors import InputError
from .packages import PACKAGES, SCOPES, UNSAFE_MODULES, folder_of, is_module, may_be_in_working_folder
from .trunk_source import is_prompted_vit, unsafe_source

# Parts that are built to predict, and the registries that build them.
MODEL_PARTS = ("model", "task util", "weight initializer", "batch augment")
BUILT = {
    ("model",): MODEL_PARTS,
    ("tta_model",): MODEL_PARTS,
    ("data_preprocessor",): MODEL_PARTS,
    ("tta_pipeline",): ("transform",),
    ("test_pipeline",): ("transform",),
    ("test_dataloader", "dataset", "pipeline"): ("transform",),
    ("test_dataloader", "collate_fn"): ("function",),
    ("visualizer",): ("visualizer", "vis backend"),
}
NAMES_FILES = ("visualizer",)  # by what it writes; strings of the others are names of things, never files or addresses
FILE = re.compile(r".*[/\\:].*|.*\.(?:pkl|pickle|pth?|bin|ckpt|tar|np[yz]|py|ya?ml|json|onnx|so|txt|gz)", re.S)
SIZES = re.compile(r"\d+/\d+")  # names of ConvMixer's: '768/32'
SOURCES = ("pretrained", "init_cfg")  # of weights; those of a checkpoint take their place
DOWNLOADS = ("TIMMBackbone", "mmseg.TIMMBackbone", "mmpretrain.TIMMBackbone")  # unless pretrained=False is set
# Values that MMEngine takes for names of registered things, and imports where they are none.
NAMED = {
    **dict.fromkeys(("norm_layer", "conv_type", "padding_mode"), ("model",)),
    **dict.fromkeys(("collate_fn", "worker_init_fn"), ("function",)),
    "resize_type": ("transform",),
}
BACKENDS = {"petrel": "petrel_client", "lmdb": "lmdb"}  # of files, and the modules that they import
#: Dicts whose type names a function or class of mmcv.ops; mmcv evaluates the first as Python.
OPS = {"nms": ("nms", "soft_nms"), "roi_layer": ("RoIAlign", "RoIPool")}
PADDINGS = ("zeros", "circular", "reflect", "replicate", "constant", "edge", "symmetric")  # words, not names of classes


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


def without_sources(config: Mapping[str, Any], needs_trunk: bool = False) -> None:
    """Empty what a model would be initialised from, in place: its weights come from the checkpoint.

    Args:
        config: a stranger's.
        needs_trunk: the checkpoint was saved without its frozen ViT, so that loading it reads the ViT's source; one
            that is not safe to read is emptied, too.
    """
    for node in _nodes(config, ""):
        if is_prompted_vit(node.entries):  # whose weights are read when a checkpoint without them is loaded
            if needs_trunk and unsafe_source(node.entries):
                node.entries["weights"], node.entries["pretrained"] = None, False
        elif node.path[:1] in BUILT:
            for key in SOURCES:
                if key in node.entries:
                    node.entries[key] = False if isinstance(node.entries[key], bool) else None
            if node.entries.get("type") in DOWNLOADS:
                node.entries["pretrained"] = False


class _Node(NamedTuple):
    """A dict of a config: its place, the scope that its class is searched in, and the dict around it.

    A key may hold dots, so a place is compared by its parts.
    """

    path: tuple[Any, ...]
    entries: dict[str, Any]
    scope: Any
    around: Mapping[str, Any]

    def at(self, key: object) -> str:
        return ".".join(map(str, (*self.path, key)))


def _nodes(
    entry: Any, scope: Any, path: tuple[Any, ...] = (), around: Mapping[str, Any] = MappingProxyType({})
) -> Iterator[_Node]:
    items: Iterable[tuple[Any, Any]] = enumerate(entry) if isinstance(entry, (list, tuple)) else ()
    if isinstance(entry, dict):
        scope, items = entry.get("_scope_") or scope, entry.items()
        yield _Node(path, entry, scope, around)
        around = entry
    for key, value in items:
        yield from _nodes(value, scope, (*path, key), around)


def _check_node(node: _Node) -> None:
    part = next((part for part in BUILT if node.path[: len(part)] == part), None)
    names_files = part is None or part[0] in NAMES_FILES
    _check_scope(node.scope, node.at("_scope_"))
    if "type" in node.entries and node.path != ("optim_wrapper", "clip_grad"):  # by norm or value: no class
        _check_type(node, BUILT[part] if part else None)
    for key, value in node.entries.items():
        at = node.at(key)
        if key in ("_base_", "sys_path"):
            raise InputError(f"{at} = {value!r} would read another file")
        if key == "custom_imports":
            _check_imports(value, at)
        if isinstance(value, str):
            if key in NAMED and not _is_for_timm(node) and not (key == "padding_mode" and value in PADDINGS):
                _check_name(value, node.scope, NAMED[key], at)
            if (key, value) in (("backend", "memcached"), ("decode_backend", "pickle")):
                raise InputError(f"{at} = {value!r} would run code of a file")
            if key == "backend" and may_be_in_working_folder(BACKENDS.get(value, "mmengine")):
                raise InputError(f"{at} = {value!r} would import {BACKENDS[value]} from the working folder")
            if key == "save_dir" and node.path[0] == "visualizer":
                raise InputError(f"{at} = {value!r} would write there")
        if not names_files and key != "type" and not _is_source(node, key):
            for text in _texts(value):
                if _is_file(text):
                    raise InputError(f"{at} {'=' if text is value else 'holds'} {text!r} names a file or an address")


def _texts(value: Any) -> Iterator[str]:
    """Yield a string, or the strings of nested lists."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, tuple)):
        for entry in value:
            yield from _texts(entry)


def _is_for_timm(node: _Node) -> bool:
    """Return whether a dict holds arguments of timm, which imports none of the names in it."""
    return node.path[-1:] == ("timm_kwargs",) and is_prompted_vit(node.around) and "type" not in node.entries


def _is_file(value: str) -> bool:
    """Return whether a string looks like a file or an address, or names a file of the working folder."""
    return bool(FILE.fullmatch(value) and not SIZES.fullmatch(value)) or osp.isfile(value)


def _is_source(node: _Node, key: str) -> bool:
    """Return whether strings say where weights come from, which nothing reads that predicts."""
    if key in SOURCES or "init_cfg" in node.path:  # which holds initializers alone
        return True
    is_weights = node.path[-1:] == ("weights",) and is_prompted_vit(node.around) and "type" not in node.entries
    return is_weights or (key == "weights" and is_prompted_vit(node.entries))


def _check_scope(scope: Any, at: str) -> None:
    if scope not in SCOPES or may_be_in_working_folder(scope):
        raise InputError(f"{at} = {scope!r} would import that package; known are {', '.join(SCOPES)}")


def _check_imports(value: Any, at: str) -> None:
    imports = value.get("imports") if isinstance(value, Mapping) else value
    names = list(imports) if isinstance(imports, (list, tuple)) else [imports] if imports else []
    for name in names:
        if not is_module(name):
            raise InputError(f"{at} would import {name!r}; only modules of {', '.join(PACKAGES)} are imported")


def _check_type(node: _Node, registries: Optional[tuple[str, ...]]) -> None:
    kind, at = node.entries["type"], node.at("type")
    if not isinstance(kind, str):
        raise InputError(f"{at} = {kind!r} must be the name of a registered class")
    if "init_cfg" in node.path:
        registries = ("weight initializer",)
    if kind in OPS.get(node.path[-1] if node.path else "", ()) and node.path[0] == "model":
        return
    if not (kind in ADAPTERS and node.path[-2:-1] == ("adapters",)):
        _check_name(kind, node.scope, registries, at)


def _check_name(name: str, scope: str, registries: Optional[tuple[str, ...]], at: str) -> None:
    prefix, _, own = name.rpartition(".")
    if "/" not in name and (not prefix or (prefix in SCOPES and not may_be_in_working_folder(prefix))):
        with suppress(LookupError):
            if _is_safe(own, prefix or scope, registries):
                return
            raise InputError(f"{at} = {name!r} may read files or run code by its arguments")
    raise InputError(f"{at} = {name!r} is no class that {', '.join(SCOPES)} register for it")


@lru_cache(maxsize=1024)  # a config may say the same type 100,000 times; errors are not kept
def _is_safe(name: str, scope: str, registries: Optional[tuple[str, ...]]) -> bool:
    """Return whether the classes of a name that a scope's configs can build are safe with any arguments.

    Raises:
        LookupError: there are none.
    """
    modules = [root]
    if scope in ("mmseg", "mmpretrain", "mmdet") and folder_of(scope):
        modules.insert(0, importlib.import_module(f"{scope}.registry"))
    found = []
    for registry in [value for module in modules for value in vars(module).values() if isinstance(value, Registry)]:
        if registries is None or registry.name.replace("_", " ") in registries:
            registry.import_from_location()
            if name in registry.module_dict:
                found.append(registry.module_dict[name])
    if not found:
        raise LookupError(name)
    return not any(getattr(kind, "__module__", "").startswith(UNSAFE_MODULES) for kind in found)
