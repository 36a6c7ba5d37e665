"""Environment variables in config files, ``{{$NAME:default}}``, read as MMEngine reads them, with any value.

MMEngine puts a variable's value into the file's text before it parses it, so that a backslash or a quote changes the
text around it. Here, a value is written as the text around it needs it.
"""

from __future__ import annotations

import ast
import io
import json
import os
import os.path as osp
import re
import threading
import tokenize
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Union

from mmengine.config import Config

from ..datasets.roots import DEFAULTS
from ..errors import InputError

VARIABLE = re.compile(r"\{\{['\"]?\s*\$(\w+)\s*:\s*(\S*?)\s*['\"]?\}\}")
REPLACED = "_substitute_env_variables"
ODD = set("\\'\"{}#\n\r\t")  # what may end a text, or mean something in it
QUOTED, RAW, CODE = "quoted", "raw", "code"
_reading = threading.RLock()


def read_with_variables(path: Union[str, os.PathLike[str]]) -> Config:
    """Read a config file as ``Config.fromfile`` does, with any value of environment variables.

    Raises:
        InputError: a variable that cannot be used where the file names it; the message has its name.
    """
    with _read_here():
        return Config.fromfile(path)


@contextmanager
def _read_here() -> Iterator[None]:
    with _reading:
        original = Config.__dict__[REPLACED]
        setattr(Config, REPLACED, staticmethod(_substitute))
        try:
            yield
        finally:
            setattr(Config, REPLACED, original)


def _substitute(filename: str, temp_config_name: str) -> dict[str, str]:
    """Replace the variables of a file, and return those that are set; MMEngine calls it."""
    with open(filename, encoding="utf-8", newline="") as file:
        text = file.read()
    found = list(VARIABLE.finditer(text))
    values = [_value(name, default) for name, default in (match.groups() for match in found)]
    places = _places(text, osp.splitext(filename)[1], len(found)) if any(ODD & set(value) for value in values) else []
    for i in reversed(range(len(found))):
        name, start, end = found[i][1], *found[i].span()
        kind = places[i] if places else CODE
        written = _written(name, values[i], kind, osp.splitext(filename)[1]) if name in os.environ else values[i]
        text = text[:start] + written + text[end:]
    with open(temp_config_name, "w", encoding="utf-8", newline="") as file:
        file.write(text)
    return {match[1]: os.environ[match[1]] for match in found if match[1] in os.environ}


def _value(name: str, default: str) -> str:
    DEFAULTS[name] = default
    value = os.environ.get(name, default)
    if not value:
        how = "is empty" if name in os.environ else "is not set, and the config has no default for it"
        raise InputError(f"environment variable {name} {how}; set it: {name}=VALUE before the command")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"environment variable {name} is not UTF-8: {os.fsencode(value)!r}. Configs are UTF-8, also those that a "
            "training saves; rename the folder, or link to it from another name"
        ) from error
    if name in os.environ and "{{" in value:
        raise InputError(
            f"environment variable {name} is {value!r}, in which configs read '{{{{' as the beginning of a variable; "
            "rename the folder, or link to it from another name"
        )
    return value


def _places(text: str, suffix: str, count: int) -> list[str]:
    """Return where each variable of a file is: in a text, in one that has no escapes, or outside of texts."""
    marks = [f"DAVPT_VARIABLE_{i}_" for i in range(count)]
    numbers = iter(marks)
    marked = VARIABLE.sub(lambda _: next(numbers), text)
    if suffix != ".py":
        in_quotes = re.findall(r'"(?:[^"\\\n]|\\.)*"', marked)
        return [QUOTED if any(mark in each for each in in_quotes) else CODE for mark in marks]
    places = dict.fromkeys(marks, QUOTED)  # also in comments
    try:
        for token in tokenize.generate_tokens(io.StringIO(marked).readline):
            raw = token.type == tokenize.STRING and "r" in re.split("['\"]", token.string)[0].lower()
            kind = RAW if raw else CODE if token.type == tokenize.NAME else QUOTED
            places.update({mark: kind for mark in marks if kind != QUOTED and mark in token.string})
    except (tokenize.TokenError, SyntaxError):  # of the file, which is about to be parsed and refused
        pass
    return list(places.values())


def _written(name: str, value: str, kind: str, suffix: str) -> str:
    """Write a value as the text around it needs it."""
    if not ODD & set(value):
        return value
    if kind == QUOTED:
        escaped = json.dumps(value, ensure_ascii=False)[1:-1]
        return escaped if suffix != ".py" else "".join(f"\\x{ord(c):02x}" if c in ODD else c for c in value)
    if kind == RAW and not set(value) & set("'\"\n\r{}") and not value.endswith("\\"):
        return value
    if kind == CODE and suffix == ".py" and _is_python(value):
        return value
    where = "outside of quotes" if kind == CODE else "in a text r'...'"
    raise InputError(
        f"environment variable {name} is {value!r}, and the config has it {where}, where this value means something "
        f"else; write '{{{{${name}:DEFAULT}}}}' in plain quotes there, or choose another value"
    )


def _is_python(text: str) -> bool:
    try:
        ast.parse(text, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
