"""Where the frozen ViT comes from that a checkpoint was saved without, if its config is the one inside it."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any, Union

from timm.models import is_model_pretrained

from ..core.record import Record
from ..core.weights.files import ENDINGS
from ..errors import InputError, some
from .config_parts import dicts

PRETRAINED = "pretrained"
KEPT = ("which", "resample_patch", "prefix", "adapt_input")  # for another file
OPTIONS = {"path", "trust_pickle", *KEPT}
ADDRESSES = ("\\\\", "//")  # a machine or a device, on Windows
MOST_BYTES = 2**34  # of a file that only a stranger's config names; ViTs of a billion parameters have 4 GB
#: Arguments of timm that name files or addresses of weights, by their beginnings.
TIMM_SOURCES = ("pretrained", "checkpoint_path", "cache_dir")


def is_prompted_vit(entries: Mapping[str, Any]) -> bool:
    """Return whether a dict of a config is that of our backbone."""
    return entries.get("type") in ("PromptedViT", "davpt_seg.PromptedViT")


def use_source(
    config: Mapping[str, Any],
    records: Mapping[str, Record],
    path: str,
    trunk: Any,
    trusted: bool,
) -> None:
    """Set where the ViTs of a config's model are read from, in place.

    Args:
        config: what the checkpoint is loaded with.
        records: what the checkpoint was saved without.
        path: the checkpoint, for messages.
        trunk: a weights file, or ``pretrained`` for timm's own weights; None for what the config names. Models, whose
            ViT adapter folders share, are refused.
        trusted: the user gave the config, or trusts the one in the checkpoint.

    Raises:
        InputError: a trunk for a checkpoint that holds its own, or a source that is not read unless the user names it.
    """
    if not isinstance(trunk, (str, os.PathLike, type(None))):
        raise InputError(
            f"trunk of checkpoint {path!r} must be a weights file or 'pretrained', got a {type(trunk).__name__}; "
            "export the checkpoint by davpt-seg export --out DIR to load it on the ViT of another model"
        )
    if not records:
        if trunk is not None:
            raise InputError(f"checkpoint {path!r} holds its own ViT, so that --trunk {trunk} does nothing: omit it")
        return
    for entries in (entries for entries in dicts(config.get("model")) if is_prompted_vit(entries)):
        if trunk is not None:
            set_source(entries, trunk)
        names_file = trunk not in (None, PRETRAINED)  # a file that the user names is read
        if not (trusted or names_file) and (reason := unsafe_source(entries)):
            needed = " and ".join(dict.fromkeys(map(str, records.values())))
            raise InputError(
                f"checkpoint {path!r} was saved without its frozen ViT and needs {needed}. Its own config does not "
                f"give them: {reason}. Name them: --trunk FILE, or --trunk pretrained for timm's own "
                "(Predictor(trunk=...)), or a config before the checkpoint"
            )


def set_source(entries: MutableMapping[str, Any], trunk: Union[str, os.PathLike[str]]) -> None:
    """Let a backbone's config read its ViT from a file, or ``pretrained`` from timm's own weights, in place.

    Of an earlier file's options, those of :data:`KEPT` stay and ``trust_pickle`` does not.
    """
    given = entries.get("weights")
    options = given if isinstance(given, Mapping) else {}
    kept = {key: options[key] for key in KEPT if key in options}
    own = trunk == PRETRAINED
    # set, not updated: a Config would merge the two dicts
    entries["weights"], entries["pretrained"] = None if own else dict(kept, path=os.fspath(trunk)), own


def unsafe_source(entries: Mapping[str, Any]) -> str:
    """Return why weights that a stranger's config names for a ViT are not read; nothing where they may be.

    They may be a local file of weights, read as data, or timm's own weights of one of timm's own models. The
    checkpoint's fingerprint decides later whether they are the right ones.

    Args:
        entries: config of the backbone.
    """
    weights, pretrained = entries.get("weights"), entries.get("pretrained")
    if weights and pretrained:
        return "it names two sources"
    if weights:
        return _unsafe_file(weights)
    if pretrained is not True:
        return "it names no weights"
    name, arguments = entries.get("model_name"), entries.get("timm_kwargs") or {}
    if not isinstance(name, str) or not is_model_pretrained(name):
        return f"pretrained=True is read for timm's own models, and model_name={name!r} is none"
    if not isinstance(arguments, Mapping) or any(str(key).startswith(TIMM_SOURCES) for key in arguments):
        return f"timm_kwargs {some(arguments)} would change what timm reads"
    return ""


def _unsafe_file(weights: Any) -> str:
    path = weights.get("path") if isinstance(weights, Mapping) else weights
    if isinstance(weights, Mapping) and (weights.get("trust_pickle") or set(weights) - OPTIONS):
        return f"weights={dict(weights)} asks for more than reading a file as data"
    if not isinstance(path, str) or "://" in path or "\0" in path or path.startswith(ADDRESSES):
        return f"weights={path!r} is no local file"
    if not path.endswith(ENDINGS):
        return f"weights={path!r} must end in one of {', '.join(ENDINGS)}"
    try:
        found = os.stat(Path(path))
    except OSError:  # no such file, no permission, a name that is too long
        return f"weights={path!r} is not here"
    if not stat.S_ISREG(found.st_mode):
        return f"weights={path!r} is no regular file"
    if found.st_size > MOST_BYTES:
        return f"weights={path!r} has {found.st_size / 2**30:,.0f} GiB, more than {MOST_BYTES / 2**30:.0f}"
    return ""
