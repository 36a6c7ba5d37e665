"""``adapter_config.json``: how a model is built, on which trunk; plain values, checked before anything is built."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Optional

from ...errors import InputError, some
from ..record import Record
from .places import CONFIG, MOST, Place
from .strict_json import parse

FORMAT = 1
TASKS = ("backbone", "segmentation", "classification", "detection")


@dataclass(frozen=True)
class AdapterConfig:
    """Description of the model in an adapter folder.

    Attributes:
        backbone: arguments of PromptedViT, without ``pretrained`` and ``weights``.
        trunk: its frozen trunk.
        checksum: checksum of the tensors, so that no file of another folder takes their place.
        mapping: whether the tensors hold guidance's state, with which training can continue.
        task: ``backbone`` of a core model; ``segmentation``, ``classification``, ``detection``.
        config: of the tasks, what prediction builds besides the backbone.
        classes: their names.
        palette: their colours, [red, green, blue] each.
        versions: versions of the packages that wrote it.
    """

    backbone: dict[str, Any]
    trunk: Record
    checksum: str
    mapping: bool = False
    task: str = "backbone"
    config: dict[str, Any] = field(default_factory=dict)
    classes: Optional[list[str]] = None
    palette: Optional[list[list[int]]] = None
    versions: dict[str, str] = field(default_factory=dict)

    def text(self) -> str:
        """Return it as JSON.

        Raises:
            InputError: an argument that is no plain value, or too long a text.
        """
        content = {"format": FORMAT, **{name: getattr(self, name) for name in self.__dataclass_fields__}}
        try:
            text = json.dumps({**content, "trunk": asdict(self.trunk)}, indent=1, allow_nan=False) + "\n"
        except (TypeError, ValueError) as error:
            raise InputError(
                f"the model cannot be described by plain values, as an adapter folder must ({error}): give its "
                "arguments as numbers, texts, lists and dicts"
            ) from error
        if len(text.encode()) > MOST[CONFIG]:
            raise InputError(f"{CONFIG} would have {len(text):,} bytes, and at most {MOST[CONFIG]:,} are read")
        return text


TYPES: dict[str, type] = {name: dict for name in ("backbone", "trunk", "config", "versions")}
TYPES.update(checksum=str, task=str, mapping=bool)
REQUIRED = ("backbone", "trunk", "checksum", "mapping", "task")


def read_config(place: Place) -> AdapterConfig:
    """Read and check a folder's ``adapter_config.json``.

    Raises:
        InputError: no such file, no plain JSON, a newer format, or keys and values that no version of ours writes.
    """
    what = f"{place.name}: {CONFIG}"
    content = parse(place.file(CONFIG).read_bytes(), what)
    version = content.pop("format", None)
    if type(version) is not int or version < 1:
        raise InputError(f"{what} has the format {version!r}, and ours count from 1; it is no adapter of davpt-seg")
    if version > FORMAT:
        raise InputError(
            f"{what} has format {version}, and this version of davpt-seg reads up to {FORMAT}; install a newer one: "
            f"it was written by {content.get('versions')}"[:600]
        )
    unknown = content.keys() - AdapterConfig.__dataclass_fields__.keys()
    if unknown or not set(REQUIRED) <= content.keys():
        raise InputError(
            f"{what} must hold {', '.join(REQUIRED)}; missing are {sorted(set(REQUIRED) - content.keys())}, unknown "
            f"{some([each[:80] for each in sorted(unknown)]) or 'none'}"
        )
    for key, kind in TYPES.items():
        if key in content and type(content[key]) is not kind:
            raise InputError(f"{what}: {key} must be a {kind.__name__}, got {str(content[key])[:80]!r}")
    if content["task"] not in TASKS:
        raise InputError(f"{what}: task must be one of {TASKS}, got {content['task'][:80]!r}")
    try:
        content["trunk"] = Record.of(content["trunk"])
    except ValueError as error:
        raise InputError(f"{what}: trunk must describe the frozen ViT: {error}") from error
    return AdapterConfig(**content)
