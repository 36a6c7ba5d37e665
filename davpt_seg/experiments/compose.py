"""Composition of an experiment from words: parts, each a file of ``configs/_base_`` or anywhere on disk, and values.

The files in ``configs/davpt`` and ``configs/baselines`` are such experiments written out, for tools that only take
files; a test compares them. MMEngine's ``_base_`` is not sufficient: it refuses two bases that both set parts of
``model``, and a base cannot read another's width, depth or number of classes.
"""

from __future__ import annotations

import os
import os.path as osp
import re
from collections.abc import Mapping
from typing import Any, Optional, Union

from mmengine.config import Config
from yaml import YAMLError

from ..errors import InputError
from . import classification, detection, segmentation
from .catalog import config_root, find_config, words_for
from .config_files import UNREADABLE, read_file
from .detectors import detector
from .fitting import check_complete, check_known, check_parts, check_words
from .hyperparameters import COMMAND, Hyperparameters
from .parts import label_of, merged_parts, read_part
from .shares import use_shares
from .values import name_of, parse
from .words import CLASSIFICATION, DETECTION, EXAMPLES, PARTS, SEGMENTATION, WORDS, is_path, words_of

BUILD = {SEGMENTATION: segmentation, CLASSIFICATION: classification, DETECTION: detection}
AFTER_BLANK = re.compile(rf"\s+({'|'.join(dict.fromkeys(word.name for word in WORDS))})=")


def compose(
    method: Optional[str] = None,
    head: Optional[str] = None,
    trunk: Optional[str] = None,
    data: Optional[str] = None,
    schedule: Optional[str] = None,
    split: Optional[str] = None,
    **values: Union[str, float],
) -> Config:
    """Build the config of an experiment; ``data`` decides whether it is segmentation, classification or detection.

    Args:
        method: file of ``configs/_base_/methods``: ``linear``, ``vpt_deep``, ``lora``, ...; or several joined by ``+``:
            ``lora+guidance``. It and the other parts may be the path of a file instead: ``~/mine.py``.
        head: with the trunk, a file of ``configs/_base_/models``: ``HEAD_TRUNK.py``; of detection, a file of
            ``configs/_base_/detectors``.
        trunk: ViT: ``vitl``, ``vitb``, ``vitb_mae``, ...; the file of a path contains the head, too.
        data: file of ``configs/_base_/datasets``.
        schedule: file of ``configs/_base_/schedules``.
        split: ``choose`` or ``final`` keep the test images for a last test.
        **values: values of the other words of :mod:`davpt_seg.experiments.words`.

    Returns:
        The config. Its name, ``METHOD/HEAD_TRUNK_DATA.py`` or ``METHOD/TRUNK_DATA.py`` for classification, contains all
        differences from the defaults, and is also the name of the work dir.

    Raises:
        InputError: an unknown part or word, parts that do not fit each other, or a wrong value.
    """
    named = dict(method=method, head=head, trunk=trunk, data=data, schedule=schedule, split=split, **values)
    return _composed({name: str(value) for name, value in named.items() if value is not None})[0]


def compose_from_words(words: str) -> Config:
    """Build the config of words such as ``method=vpt_deep,head=setr_pup``, see :func:`compose`.

    Raises:
        InputError: see :func:`compose`; or a word that is no ``WORD=VALUE`` or appears twice.
    """
    return _composed(read_words(words))[0]


def config_of(named: Union[str, os.PathLike[str]]) -> Config:
    """Read or compose the config that a user names: a file, a name of ours, or the words of an experiment.

    Raises:
        InputError: the config does not exist, or cannot be read or composed.
    """
    named = os.fspath(named)
    if asks_for_composition(named):
        return compose_from_words(named)
    path = find_config(named)
    try:
        return read_file(path)
    except InputError as error:
        raise InputError(f"config {named!r}: {error}") from error
    except UNREADABLE as error:
        gone = osp.relpath(error.filename, config_root()) if isinstance(error, OSError) and error.filename else ""
        words = words_for(gone.removesuffix(".py"))
        advice = f"; 'davpt-seg train {words} --print-config' prints what that file was" if words else ""
        reason = " ".join(str(error).split()) if isinstance(error, YAMLError) else str(error).strip().partition("\n")[0]
        if isinstance(error, ImportError):  # MMEngine's has the complete search path
            advice = ". A module of custom_imports is found in the current folder, or on PYTHONPATH"
        raise InputError(f"config {named!r} cannot be read: {type(error).__name__}: {reason}{advice}") from error


def origins(words: str) -> str:
    """Return a table of an experiment's values and their origins: the command, a row (released or ours), or a default.

    Raises:
        InputError: see :func:`compose_from_words`.
    """
    values = classification.in_use(*_composed(read_words(words)))
    lines = [f"  {name:<18}{values[name]!s:<9} {origin}" for name, origin in values.origins.items()]
    return "\n".join(["Values by word, before --cfg-options; all others are those of the parts' files:", *lines])


def asks_for_composition(config: str) -> bool:
    """Return whether a command line has words in place of a config file."""
    first, equals, _ = config.partition("=")
    is_word = first.isidentifier() and (not is_path(config) or first in {word.name for word in WORDS})
    return bool(equals) and is_word and not osp.isfile(config)


def read_words(words: str) -> dict[str, str]:
    """Return the values of words as text, by name.

    Raises:
        InputError: a word is no ``WORD=VALUE`` or appears twice.
    """
    chosen: dict[str, str] = {}
    for word in words.split(","):
        name, _, value = word.partition("=")
        blank = name != name.strip() or value != value.strip() or AFTER_BLANK.search(value)
        if not name or not value or blank:
            raise InputError(f"{word!r} is no WORD=VALUE; {_advice_on(words, word)}")
        if name in chosen:
            raise InputError(f"{name} is set twice, to {chosen[name]!r} and to {value!r}; omit one of them")
        chosen[name] = value
    return chosen


def _advice_on(words: str, word: str) -> str:
    """Return what to write in place of words that cannot be divided: blanks around them, or a comma too many."""
    known = {each.name for each in WORDS}
    joined = AFTER_BLANK.sub(r",\1=", words)
    divided = [each.strip().replace(" ", "") for each in joined.split(",") if each.strip()]
    named = [each.partition("=") for each in divided]
    if not word.strip() or (all(value and name in known for name, _, value in named) and divided != words.split(",")):
        return f"words are joined by single commas, without blanks: {','.join(divided)}"
    return f"expected, for instance, {' or '.join(EXAMPLES.values())}"


def _composed(given: Mapping[str, str]) -> tuple[Config, Hyperparameters]:
    """Compose an experiment, and return its config and values."""
    data = given.get("data", words_of(SEGMENTATION)["data"].default)
    content = read_part("data", data)
    task = _task_of(content)
    known = words_of(task)
    check_words(task, given, data)
    parts = {name: given.get(name, known[name].default) for name in PARTS} | {"data": data}
    check_parts(task, parts, given)
    split = parse(known["split"], given["split"]) if "split" in given else known["split"].default
    typed = {name: text for name, text in given.items() if name not in (*PARTS, "split")}
    build = BUILD[task]
    cfg = merged_parts(_model_of(task, parts), content, parts["schedule"], parts["method"], build.RUNTIME)
    check_complete(task, cfg, parts)
    check_known(task, cfg, parts, typed)
    values = classification.looked_up(cfg, parts, typed) if task == CLASSIFICATION else Hyperparameters({}, {})
    values = values.put({name: parse(known[name], text) for name, text in typed.items()}, COMMAND)
    build.use(cfg, parts["method"], split, values)
    use_shares(cfg, values)
    return _named(cfg, task, parts, split, typed), values


def _task_of(data: Mapping[str, Any]) -> str:
    """Return the task that a data part's content is of."""
    if "splits" in data:
        return CLASSIFICATION
    return DETECTION if detection.is_detection(data) else SEGMENTATION


def _model_of(task: str, parts: Mapping[str, str]) -> dict[str, Any]:
    """Return the content of the model's file, or a detector composed of two."""
    trunk = parts["trunk"]
    if task == DETECTION and not is_path(trunk):
        return detector(parts["head"], trunk)
    return read_part("trunk", trunk if is_path(trunk) else f"{parts['head']}_{trunk}")


def _named(cfg: Config, task: str, parts: Mapping[str, str], split: str, typed: Mapping[str, str]) -> Config:
    """Name the config, and so its work dir, by all its differences from the default."""
    known, labels = words_of(task), {name: label_of(part) for name, part in parts.items() if name != "method"}
    method = "+".join(label_of(name) for name in parts["method"].split("+"))
    changes = {} if split == known["split"].default else dict(split=split)
    of_images = task == CLASSIFICATION
    model = [*([] if of_images or "head" not in labels else [labels["head"]]), labels["trunk"]]
    names = [*model, *labels["data"].split("/")]
    if parts["schedule"] != known["schedule"].default:
        names.append(f"{'schedule=' if of_images else ''}{labels['schedule']}")
    labelled = {name: label_of(text) for name, text in typed.items()}
    words = dict(parts, **(dict(split=split) if split else {}), **typed)
    return Config(
        {key: value for key, value in cfg.to_dict().items() if key not in classification.VARIABLES or not of_images},
        cfg_text=f"# {','.join(f'{key}={value}' for key, value in words.items())}\n",
        filename=f"{method}/{name_of(names, {**changes, **labelled})}.py",
    )
