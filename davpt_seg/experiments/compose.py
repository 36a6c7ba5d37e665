"""Any experiment from words: parts, each a file of ``configs/_base_`` or one anywhere on disk, and values.

The files in ``configs/davpt`` and ``configs/baselines`` are such experiments written out, for tools that take files
only; a test holds them equal. MMEngine's ``_base_`` can't do it alone: it refuses two bases that both say something
about ``model``, and a base can't read another's width, depth or number of classes.
"""

from __future__ import annotations

import os.path as osp
from collections.abc import Mapping
from typing import Optional, Union

from mmengine.config import Config

from ..errors import InputError, nearest
from . import classification, segmentation
from .hyperparameters import COMMAND, Hyperparameters
from .methods import brought
from .parts import label_of, merged_parts, read_part
from .values import name_of, parse
from .words import CLASSIFICATION, EXAMPLES, PARTS, SEGMENTATION, TASKS, WORDS, Word, is_path, words_of

CLASSIFICATION_ONLY = ("davpt_release",)


def compose(
    method: Optional[str] = None,
    head: Optional[str] = None,
    trunk: Optional[str] = None,
    data: Optional[str] = None,
    schedule: Optional[str] = None,
    split: Optional[str] = None,
    **values: Union[str, float],
) -> Config:
    """Build the config of an experiment; ``data`` decides whether it is segmentation or image classification.

    Args:
        method: a file of ``configs/_base_/methods``: ``linear``, ``vpt_deep``, ``lora``, ...; or several joined by
            ``+``: ``lora+guidance``. It and the other parts may be the path of a file instead: ``~/mine.py``.
        head: with the trunk, a file of ``configs/_base_/models``: ``HEAD_TRUNK.py``.
        trunk: the ViT: ``vitl``, ``vitb``, ``vitb_mae``, ...; the path of a file has the head in it.
        data: a file of ``configs/_base_/datasets``.
        schedule: a file of ``configs/_base_/schedules``.
        split: ``choose`` or ``final`` keep the test images for a last test.
        **values: of the other words of :mod:`davpt_seg.experiments.words`.

    Returns:
        The config. Its name, ``METHOD/HEAD_TRUNK_DATA.py`` or ``METHOD/TRUNK_DATA.py`` for classification, has all that
        differs from the defaults in it, and is the work dir's.

    Raises:
        InputError: an unknown part or word, parts that do not fit, or a value that does not.
    """
    named = dict(method=method, head=head, trunk=trunk, data=data, schedule=schedule, split=split, **values)
    return _composed({name: str(value) for name, value in named.items() if value is not None})[0]


def compose_from_words(words: str) -> Config:
    """Build the config that ``method=vpt_deep,head=setr_pup`` asks for, see :func:`compose`.

    Raises:
        InputError: see :func:`compose`; or a word that is no ``WORD=VALUE`` or is there twice.
    """
    return _composed(_read(words))[0]


def origins(words: str) -> str:
    """Return a table of an experiment's values and their origins: the command, a row (released or ours), a default.

    Raises:
        InputError: see :func:`compose_from_words`.
    """
    values = _composed(_read(words))[1]
    lines = [f"  {name:<18}{values[name]!s:<10}{origin}" for name, origin in values.origins.items()]
    return "\n".join(["Values by word, before --cfg-options; all others are those of the parts' files:", *lines])


def asks_for_composition(config: str) -> bool:
    """Whether what is in a config's place on the command line is words instead of a file."""
    first, equals, _ = config.partition("=")
    is_word = first.isidentifier() and (not is_path(config) or first in {word.name for word in WORDS})
    return bool(equals) and is_word and not osp.isfile(config)


def _read(words: str) -> dict[str, str]:
    chosen: dict[str, str] = {}
    for word in words.split(","):
        name, _, value = word.partition("=")
        if not name or not value:
            raise InputError(f"{word!r} is no WORD=VALUE; expected, for instance, {' or '.join(EXAMPLES.values())}")
        if name in chosen:
            raise InputError(f"{name} is named twice: {chosen[name]!r} and {value!r}")
        chosen[name] = value
    return chosen


def _composed(given: Mapping[str, str]) -> tuple[Config, Hyperparameters]:
    """Compose an experiment, and return its values with it."""
    data = given.get("data", words_of(SEGMENTATION)["data"].default)
    content = read_part("data", data)
    task = CLASSIFICATION if "splits" in content else SEGMENTATION
    known = words_of(task)
    _check_words(task, given, data)
    parts = {name: given.get(name, known[name].default) for name in PARTS} | {"data": data}
    _check_parts(task, parts, given)
    split = parse(known["split"], given["split"]) if "split" in given else known["split"].default
    typed = {name: text for name, text in given.items() if name not in (*PARTS, "split")}
    build = classification if task == CLASSIFICATION else segmentation
    trunk = parts["trunk"]
    cfg = merged_parts(
        trunk if is_path(trunk) else f"{parts['head']}_{trunk}",
        content,
        parts["schedule"],
        parts["method"],
        build.RUNTIME,
    )
    _check_known(task, cfg, parts, typed)
    values = Hyperparameters({}, {}) if task == SEGMENTATION else classification.looked_up(cfg, parts, typed)
    values = values.put({name: parse(known[name], text) for name, text in typed.items()}, COMMAND)
    build.use(cfg, parts["method"], split, values)
    return _named(cfg, task, parts, split, typed), values


def _check_words(task: str, given: Mapping[str, str], data: str) -> None:
    known = words_of(task)
    for name in given:
        if name in known:
            continue
        elsewhere = [other for other in TASKS if name in words_of(other)]
        what = f"it is a word of {elsewhere[0]}: {EXAMPLES[elsewhere[0]]}" if elsewhere else nearest(name, known)
        raise InputError(f"{name!r} is no word of a {task} experiment (data={data}); {what}")


def _check_parts(task: str, parts: dict[str, str], given: Mapping[str, str]) -> None:
    """Refuse parts of the other task, and a head beside a file that has one.

    Raises:
        InputError: such.
    """
    if is_path(parts["trunk"]):
        if "head" in given:
            raise InputError(f"trunk={parts['trunk']} is a file with a head in it: omit head={parts['head']}")
        del parts["head"]
    for name, part in parts.items():
        if is_path(part):
            continue
        choices = words_of(task)[name].choices
        if choices and part not in choices:
            raise InputError(f"{name}={part}: {task} (data={parts['data']}) has {name}={' or '.join(choices)}")
        if task == SEGMENTATION and part in words_of(CLASSIFICATION)[name].choices:
            raise InputError(
                f"{name}={part} is for image classification (data of vtab/ or fgvc/), not for data={parts['data']}"
            )
    for method in set(CLASSIFICATION_ONLY) & set(parts["method"].split("+")) if task == SEGMENTATION else ():
        raise InputError(
            f"method={parts['method']}: {method} is for image classification (data of vtab/ or fgvc/), not for "
            f"data={parts['data']}. It gives an image one class and its patches one sample, and clusters classes by "
            "the token that a classifier reads; label maps have many classes, and a segmentation head reads no token. "
            "Use davpt or davpt_plus"
        )


def _check_known(task: str, cfg: Config, parts: Mapping[str, str], typed: Mapping[str, str]) -> None:
    """Refuse words that the method or the schedule does not have.

    Raises:
        InputError: such.
    """
    has = brought(cfg)
    known = [word.name for word in words_of(task).values() if _applies(word, has)]
    for name in typed:
        if name not in known:
            raise InputError(
                f"{name}={typed[name]}: method {parts['method']} on {parts['data']} with schedule {parts['schedule']} "
                f"has no {name}; {nearest(name, known)}. Other keys of the config go after --cfg-options"
            )


def _applies(word: Word, has: set[str]) -> bool:
    return not word.part and word.name != "split" and (not word.of or word.of in has)


def _named(cfg: Config, task: str, parts: Mapping[str, str], split: str, typed: Mapping[str, str]) -> Config:
    """Name the config, and so its work dir, by all that makes it differ from the default."""
    known, labels = words_of(task), {name: label_of(name, part) for name, part in parts.items() if name != "method"}
    method = "+".join(label_of("method", name) for name in parts["method"].split("+"))
    changes = {} if split == known["split"].default else dict(split=split)
    model = [*([labels["head"]] if task == SEGMENTATION and "head" in labels else []), labels["trunk"]]
    names = [*model, *labels["data"].split("/")]
    if parts["schedule"] != known["schedule"].default:
        names.append(f"{'' if task == SEGMENTATION else 'schedule='}{labels['schedule']}")
    words = dict(parts, **(dict(split=split) if split else {}), **typed)
    return Config(
        {
            key: value
            for key, value in cfg.to_dict().items()
            if key not in classification.VARIABLES or task == SEGMENTATION
        },
        cfg_text=f"# {','.join(f'{key}={value}' for key, value in words.items())}\n",
        filename=f"{method}/{name_of(names, {**changes, **typed})}.py",
    )
