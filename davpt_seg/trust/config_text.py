"""A config's text, as MMEngine writes it into checkpoints, turned into a dict without running it."""

from __future__ import annotations

import ast
import io
import keyword
import math
import tokenize
from typing import Any

from ..errors import InputError

MOST_CHARACTERS = 4_000_000  # a large config has 100,000
MOST_TOKENS = 1_000_000
MOST_NESTED = 40  # brackets; configs have 10
LONGEST_NUMBER = 40
CONSTANTS = {"True", "False", "None"}
SYMBOLS = {"(", ")", "[", "]", "{", "}", ",", "=", ":", "-"}
IGNORED = {tokenize.NEWLINE, tokenize.NL, tokenize.COMMENT, tokenize.ENDMARKER}
NUMBERS = {"inf": math.inf, "nan": math.nan}  # as Python prints them


def evaluate(text: str) -> dict[str, Any]:
    """Return the names and values of a config that only assigns plain values: numbers, text, lists, tuples, dicts.

    Nothing is run, imported or replaced: ``{{ templates }}`` stay as they are. The text is checked token by token
    before Python's parser sees it, so that its size and depth are bounded.

    Raises:
        InputError: anything else, with the line.
    """
    if not isinstance(text, str):
        raise InputError(f"a config must be text, got {type(text).__name__}")
    if len(text) > MOST_CHARACTERS:
        raise InputError(f"it has {len(text):,} characters, and at most {MOST_CHARACTERS:,} are read")
    if "\0" in text:
        raise InputError("it has a null character")
    _check_tokens(text)
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:  # the latter two of 1-1-1-... or a[0][0]...
        raise InputError(f"it is no Python, or nests too deep: {error}") from error
    config: dict[str, Any] = {}
    for statement in tree.body:
        if not isinstance(statement, ast.Assign):
            raise InputError(f"line {statement.lineno}: only NAME = VALUE is read, not {type(statement).__name__}")
        value = _value(statement.value)
        for target in statement.targets:
            if not isinstance(target, ast.Name):
                raise InputError(f"line {statement.lineno}: only NAME = VALUE is read, not an assignment to a part")
            config[target.id] = value
    return config


def _check_tokens(text: str) -> None:
    depth, last = 0, ""
    try:
        for count, token in enumerate(tokenize.generate_tokens(io.StringIO(text).readline)):
            if count > MOST_TOKENS:
                raise InputError(f"it has more than {MOST_TOKENS:,} words and symbols")
            _check_token(token, last)
            depth += (token.string in ("(", "[", "{")) - (token.string in (")", "]", "}"))
            if depth > MOST_NESTED:
                raise InputError(f"line {token.start[0]}: it nests more than {MOST_NESTED} brackets")
            last = token.string
    except (tokenize.TokenError, SyntaxError) as error:
        raise InputError(f"it is no Python: {error}") from error


def _check_token(token: tokenize.TokenInfo, last: str) -> None:
    kind, text, line = token.type, token.string, token.start[0]
    if kind == tokenize.OP:
        allowed = text in SYMBOLS and not (text == last == "-")
    elif kind == tokenize.NAME:
        allowed = text in CONSTANTS or not keyword.iskeyword(text)
    elif kind == tokenize.NUMBER:
        allowed = len(text) <= LONGEST_NUMBER
    elif kind == tokenize.STRING:
        allowed = text[0] in "'\"" or (text[0] in "rR" and text[1] in "'\"")
    else:
        allowed = kind in IGNORED
    if not allowed:
        raise InputError(f"line {line}: {text[:40].strip() or tokenize.tok_name[kind]!r} is no plain value")


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Constant) and (node.value is None or isinstance(node.value, (bool, int, float, str))):
        return node.value
    if isinstance(node, ast.Name) and node.id in NUMBERS:
        return NUMBERS[node.id]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        number = _value(node.operand)
        if isinstance(number, (int, float)) and not isinstance(number, bool):
            return -number
    if isinstance(node, ast.List):
        return [_value(entry) for entry in node.elts]
    if isinstance(node, ast.Tuple):
        return tuple(_value(entry) for entry in node.elts)
    if isinstance(node, ast.Dict) and None not in node.keys:
        return dict(zip((_key(key) for key in node.keys), map(_value, node.values)))
    if isinstance(node, ast.Call) and _is_dict(node):
        given = _value(node.args[0]) if node.args else {}
        return {**given, **{str(argument.arg): _value(argument.value) for argument in node.keywords}}
    raise InputError(f"line {node.lineno}: {ast.unparse(node)[:80]!r} is no plain value")


def _is_dict(call: ast.Call) -> bool:
    """Return whether a call is dict(NAME=VALUE, ...), maybe after one {...}."""
    named = isinstance(call.func, ast.Name) and call.func.id == "dict"
    plain = all(isinstance(argument, ast.Dict) for argument in call.args) and len(call.args) < 2
    return named and plain and all(argument.arg is not None for argument in call.keywords)


def _key(node: Any) -> Any:
    key = _value(node)
    if not isinstance(key, (str, int)):
        raise InputError(f"line {node.lineno}: {ast.unparse(node)[:80]!r} cannot be a key")
    return key
