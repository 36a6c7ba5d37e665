"""Check of words and parts: they must belong to the task and have a use."""

from __future__ import annotations

from collections.abc import Mapping

from mmengine.config import Config

from ..errors import InputError, nearest, some
from .methods import brought
from .parts import has_key
from .words import CLASSIFICATION, DETECTION, EXAMPLES, PRUNING, SEGMENTATION, TASKS, Word, is_path, words_of

#: Keys of configs that are given as words.
KEYS = {
    "data_root": "train_dataloader.dataset.data_root",
    "weights": "model.backbone.weights",
    "checkpoint": "load_from",
    "load_from": "load_from",
    "seed": "randomness.seed",
    "work_dir": "work_dir",
    "num_workers": "train_dataloader.num_workers",
}
CLASSIFICATION_ONLY = ("davpt_release",)
LOADERS = ("train_dataloader.dataset", "val_dataloader.dataset", "test_dataloader.dataset")
NEEDED: dict[str, dict[str, tuple[str, ...]]] = {  # keys needed from each part
    SEGMENTATION: dict(
        data=LOADERS,
        trunk=("model.backbone", "model.decode_head", "model.data_preprocessor"),
        schedule=("train_cfg", "param_scheduler", "default_hooks.checkpoint"),
    ),
    CLASSIFICATION: dict(
        data=LOADERS, trunk=("model.backbone", "model.head", "model.data_preprocessor"), schedule=("train_cfg",)
    ),
    DETECTION: dict(
        data=LOADERS,
        trunk=("model.backbone", "model.neck", "model.data_preprocessor"),
        schedule=("train_cfg", "param_scheduler", "default_hooks.checkpoint"),
    ),
}


def check_words(task: str, given: Mapping[str, str], data: str) -> None:
    """Refuse words that the task does not have.

    Raises:
        InputError: there is one; the message names the nearest word, or the task that has it.
    """
    known = words_of(task)
    for name in given:
        if name in known:
            continue
        if name.lower() in known:
            raise InputError(f"{name!r} is no word; words are in small letters: {name.lower()}={given[name]}")
        if name in KEYS:
            raise InputError(f"{name!r} is no word, but a key of the config: --cfg-options {KEYS[name]}={given[name]}")
        elsewhere = [other for other in TASKS if name in words_of(other)]
        what = f"it is a word of {elsewhere[0]}: {EXAMPLES[elsewhere[0]]}" if elsewhere else nearest(name, known)
        raise InputError(f"{name!r} is no word of a {task} experiment (data={data}); {what}")


def check_parts(task: str, parts: dict[str, str], given: Mapping[str, str]) -> None:
    """Refuse parts of the other task, and a head in addition to a file that has one.

    Raises:
        InputError: there is one.
    """
    if is_path(parts["head"]):
        raise InputError(f"head={parts['head']}: a head needs no separate file; give trunk=FILE, with both in it")
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
        if task == SEGMENTATION and part in words_of(DETECTION)[name].choices:
            raise InputError(
                f"{name}={part} is for detection: add data=coco or data=coco_folder:PATH (data={parts['data']} is "
                "segmentation)"
            )
        if task != CLASSIFICATION and part in words_of(CLASSIFICATION)[name].choices:
            raise InputError(
                f"{name}={part} is for image classification (data of vtab/ or fgvc/), not for data={parts['data']}"
            )
    for method in set(CLASSIFICATION_ONLY) & set(parts["method"].split("+")) if task != CLASSIFICATION else ():
        raise InputError(
            f"method={parts['method']}: {method} is for image classification (data of vtab/ or fgvc/), not for "
            f"data={parts['data']}. It gives an image one class and its patches one sample, and clusters classes by "
            "the token that a classifier reads; label maps have many classes, and a segmentation head reads no token. "
            "Use davpt or davpt_plus"
        )


def check_complete(task: str, cfg: Config, parts: Mapping[str, str]) -> None:
    """Refuse user files that lack keys that the task needs.

    Raises:
        InputError: there is one.
    """
    for name, keys in NEEDED[task].items():
        for key in keys:
            if not has_key(cfg, key):
                raise InputError(
                    f"{name}={parts[name]}: no {key}, which {task} needs; begin with one of ours as _base_"
                )


def check_known(task: str, cfg: Config, parts: Mapping[str, str], typed: Mapping[str, str]) -> None:
    """Refuse words that do not apply to the method or the schedule.

    Raises:
        InputError: there is one.
    """
    has = brought(cfg)
    known = [word.name for word in words_of(task).values() if _applies(word, has)]
    useless = set() if "prompts" in has else {"importance", *PRUNING}  # refused later, with advice
    for name in typed:
        if name not in known:
            known = [each for each in known if each not in useless]
            raise InputError(
                f"{name}={typed[name]}: method {parts['method']} on {parts['data']} with schedule {parts['schedule']} "
                f"has no {name}; known: {some(known, len(known))}. Set other keys of the config by --cfg-options"
            )


def _applies(word: Word, has: set[str]) -> bool:
    return not word.part and word.name != "split" and (not word.of or word.of in has)
