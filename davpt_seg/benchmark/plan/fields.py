"""Types of the values in a plan."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar, Union

from pydantic import AfterValidator, BeforeValidator, PlainValidator, StrictStr

from ...errors import InputError
from ...experiments.words import WORDS as EXPERIMENT_WORDS
from .parts import LONGEST, check_keys, shortened

Value = Union[int, float, str]
WORDS = tuple(dict.fromkeys(word.name for word in EXPERIMENT_WORDS if not word.by_runner))
LONGEST_FILE = 100  # bytes of a figure's name; its file's name has a trunk's name, too
SEEDS = dict(vtab=5, fgvc=1, segmentation=3, detection=3)
MOST_SEEDS = 10_000
MOST_SEED = 2**32 - 1  # NumPy's limit
# Keys that options must not change, or the search could see test images.
PROTECTED = (
    *("val_dataloader.dataset", "test_dataloader", "val_evaluator", "test_evaluator"),
    *("train_dataloader.dataset", "randomness.seed"),
)
ALLOWED = "train_dataloader.dataset.pipeline"  # augmentation does not choose images
T = TypeVar("T")


def check_folder(name: str) -> str:
    """Return a name after a check that its folder is below the work dir: not ``../x``, ``/x``.

    Raises:
        InputError: the folder is not below the work dir.
    """
    for part in name.split("/"):
        if not re.fullmatch(r"[\w+.-]*[\w+-][\w+.-]*", part) or len(part.encode()) > LONGEST:
            raise InputError(f"{shortened(name)} is no name; a name becomes a folder: use letters, digits and _ - + .")
    return name


def _check_name(name: str) -> str:
    if "/" in name:
        raise InputError("a name becomes a folder; use letters, digits and _ - + .")
    return check_folder(name)


def _check_file_name(name: str) -> str:
    if not name.replace("_", "").replace("-", "").isalnum() or len(name.encode()) > LONGEST_FILE:
        raise InputError(f"{shortened(name)} becomes a file; use letters, digits, _ and -, at most {LONGEST_FILE}")
    return name


def check_option(option: Any) -> str:
    """Return a ``KEY=VALUE`` of the config after a check that it does not change which images are seen.

    Raises:
        InputError: the option does, or is no ``KEY=VALUE``.
    """
    if not isinstance(option, str) or "=" not in option:
        raise InputError(f"{shortened(option)} is no KEY=VALUE")
    key = option.partition("=")[0]
    if not f"{key}.".startswith(f"{ALLOWED}.") and any(
        f"{key}.".startswith(f"{name}.") or name.startswith(f"{key}.") for name in PROTECTED
    ):
        raise InputError(f"{key} chooses images or seeds of a run, which only the protocol sets; remove it")
    return option


def number(value: Any) -> Value:
    """Return a number or a text; YAML reads ``1e-3`` as text, and requires ``1.0e-3``."""
    for kind in (int, float) if isinstance(value, str) else ():
        try:
            value = kind(value)
            break
        except ValueError:
            continue
    endless = value >> 63 not in (0, -1) if type(value) is int else type(value) is float and not math.isfinite(value)
    if type(value) not in (int, float, str) or endless:
        raise InputError(f"must be a number or a text, got {shortened(value)}")
    return value


def real(value: Any) -> float:
    """Return a finite number, which may be text as in :func:`number`."""
    found = number(value)
    if isinstance(found, str):
        raise InputError(f"must be a number, got {shortened(value)}")
    return float(found)


def value_of(key: str, value: Any) -> Value:
    """Return the value of a word, which must hold no further words (``1e-3,split=final``), or of a config's key."""
    try:
        found = number(value)
    except InputError as error:
        raise InputError(f"{key} {error}") from None
    if "." not in key and not re.fullmatch(r"[\w.+-]+", str(found)):
        raise InputError(f"{shortened(value)} is no value of {key}")
    return found


def _words(content: Any) -> dict[str, Value]:
    check_keys(content, WORDS)
    return {key: value_of(key, value) for key, value in content.items()}


def check_words_and_keys(content: Any) -> Any:
    """Return a mapping with words and keys of the config (with a dot) as keys."""
    dotted = [key for key in content if isinstance(key, str) and "." in key] if isinstance(content, Mapping) else []
    check_keys(content, (*WORDS, *dotted))
    for key in dotted:
        check_option(f"{key}=")
    return content


def _words_and_keys(content: Any) -> dict[str, Value]:
    return {key: value_of(key, value) for key, value in check_words_and_keys(content).items()}


def _list(content: Any) -> Any:
    if not isinstance(content, (list, tuple)):
        raise InputError(f"must be a list, got {shortened(content)}")
    return tuple(content)


def _names(content: Any) -> tuple[str, ...]:
    if not isinstance(content, (list, tuple)) or not all(isinstance(name, str) for name in content):
        raise InputError(f"must be a list of names, got {shortened(content)}")
    return tuple(map(check_folder, content))


def _seeds(content: Any) -> dict[str, tuple[int, ...]]:
    """Return the seeds of each benchmark: a list as it is, a number N as 0 to N - 1."""
    if isinstance(content, Mapping):
        check_keys(content, SEEDS)
    by_benchmark = {**SEEDS, **content} if isinstance(content, Mapping) else dict.fromkeys(SEEDS, content)
    return {benchmark: _seeds_of(seeds) for benchmark, seeds in by_benchmark.items()}


def _seeds_of(seeds: Any) -> tuple[int, ...]:
    if type(seeds) is int and 0 < seeds <= MOST_SEEDS:
        return tuple(range(seeds))
    if (
        isinstance(seeds, (list, tuple))
        and seeds
        and all(type(seed) is int and 0 <= seed <= MOST_SEED for seed in seeds)
    ):
        return tuple(dict.fromkeys(seeds))
    raise InputError(f"must be a list of numbers, or their count (5 means 0 to 4), got {shortened(seeds)}")


def within(low: int, high: int) -> AfterValidator:
    """Return a check of a number's range."""

    def check(number: int) -> int:
        if not low <= number <= high:
            raise InputError(f"must be an integer from {low} to {high}, got {shortened(number)}")
        return number

    return AfterValidator(check)


Many = Annotated[tuple[T, ...], BeforeValidator(_list)]
Names = Annotated[tuple[str, ...], PlainValidator(_names)]
Words = Annotated[dict[str, Value], PlainValidator(_words)]
WordsAndKeys = Annotated[dict[str, Value], PlainValidator(_words_and_keys)]
Options = Many[Annotated[str, PlainValidator(check_option)]]
Seeds = Annotated[dict[str, tuple[int, ...]], PlainValidator(_seeds)]
FolderName = Annotated[StrictStr, AfterValidator(_check_name)]
FileName = Annotated[str, BeforeValidator(str), AfterValidator(_check_file_name)]
