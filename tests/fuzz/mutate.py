"""Random changes of configs, texts and bytes."""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Iterator, Sequence
from typing import Any

VALUES = [
    *(None, True, False, "", "x", "False", "1", -1, 0, 1, 2, 7, 1000, 0.5, -0.5, 1e30, math.nan, math.inf, -math.inf),
    *([], [0], [0, 0], [-1], [None], ["x"], [[1]], {}, {"x": 1}, {"type": "x"}, (), (1, 2), b"x", 1j),
]
TEXTS = [
    *("", " ", "-1", "0", "1", "1.5", "nan", "inf", "-inf", "1e999", "1e-999", "9" * 30, "9" * 5000, "0x10", "1_0"),
    *("١٢", "²", "½", "é", "ﬀ", "\u202e", "\ufeff", "\n", "\t", "a\0b", "\ud800"),
    *("None", "true", "x", "a/b", "../x", "/etc/passwd", "~", "*", "%s", "{0}", "$HOME", "{{$HOME:x}}"),
    *(",", "=", "==", "+", "a+a", "-", "--", "-h", "-" * 200, "@x", "#", "'", '"', "\\"),
    *("1,2", "[1,2]", "(1,)", "[1", "(", "{", "[[[[", "{'a': [1, 2], 'b': 3}", "[" * 300 + "]" * 300),
]
CHARACTERS = "=,.+-_/\\ \t\n\0'\"[](){}09aZé²٣∞\ufeff"


def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of each entry of nested dicts and lists."""
    entries = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in entries:
        yield (*path, key)
        yield from places(child, (*path, key))


def changed_config(config: dict[str, Any], draw: random.Random) -> tuple[dict[str, Any], set[str], str]:
    """Change one entry of nested dicts and lists; return all, the names that an error may name, and the change."""
    config = copy.deepcopy(config)
    path = draw.choice(list(places(config)))
    node: Any = config
    for key in path[:-1]:
        node = node[key]
    key, names = path[-1], {str(part) for part in path if isinstance(part, str)}
    how = draw.choice(["value"] * 6 + ["drop", "rename", "wrap", "double"])
    if how == "value":
        node[key] = copy.deepcopy(draw.choice(VALUES))
        names.add(repr(node[key]))
    elif how == "drop":
        del node[key]
    elif how == "rename" and isinstance(node, dict):
        new = changed_text(key, draw)
        node[new] = node.pop(key)
        names |= {new, repr(new)}
    elif how == "wrap":
        node[key] = [node[key]]
    elif isinstance(node, list):
        node.append(copy.deepcopy(node[key]))
    else:
        node[key] = [node[key], node[key]]
    return config, names, f"{'.'.join(map(str, path))}: {how} {node.get(key, '') if isinstance(node, dict) else node}"


def changed_text(text: str, draw: random.Random) -> str:
    """Delete, insert, replace, swap or repeat a few characters."""
    for _ in range(draw.choice([1, 1, 1, 2, 4])):
        i = draw.randrange(len(text) + 1)
        j = min(len(text), i + draw.choice([1, 1, 1, 3]))
        new = draw.choice(["", draw.choice(CHARACTERS), text[j:i:-1], text[i:j] * 2, text[i:j].upper()])
        text = text[:i] + new + text[j:]
    return text


def changed_list(items: Sequence[str], draw: random.Random) -> list[str]:
    """Drop, double, swap, change or add an item."""
    items = list(items)
    for _ in range(draw.choice([1, 1, 2])):
        i = draw.randrange(len(items)) if items else 0
        how = draw.choice(["drop", "double", "change", "change", "value", "value", "add", "swap"])
        if how == "add" or not items:
            items.insert(i, draw.choice(TEXTS))
        elif how == "drop":
            del items[i]
        elif how == "double":
            items.insert(i, items[i])
        elif how == "swap":
            j = draw.randrange(len(items))
            items[i], items[j] = items[j], items[i]
        elif how == "value":
            name, equals, _ = items[i].partition("=")
            items[i] = f"{name}{equals}{draw.choice(TEXTS)}" if equals else draw.choice(TEXTS)
        else:
            items[i] = changed_text(items[i], draw)
    return items


def changed_bytes(data: bytes, draw: random.Random, start: int = 0, stop: int = -1) -> bytes:
    """Flip bits, zero a range, cut, repeat, swap or add bytes between two places."""
    stop = len(data) if stop < 0 else stop
    i = draw.randrange(start, stop)
    j = min(stop, i + draw.choice([1, 8, 64, 1000]))
    how = draw.choice(["flip", "flip", "flip", "zero", "cut", "end", "repeat", "swap", "add", "noise"])
    if how == "flip":
        return data[:i] + bytes([data[i] ^ (1 << draw.randrange(8))]) + data[i + 1 :]
    if how == "end":
        return data[:i]
    if how == "swap":
        k = draw.randrange(start, stop)
        first, second = sorted([(i, j), (k, min(stop, k + j - i))])
        if first[1] <= second[0]:
            return b"".join(
                [data[: first[0]], data[slice(*second)], data[first[1] : second[0]], data[slice(*first)]]
                + [data[second[1] :]]
            )
    new = {"zero": bytes(j - i), "cut": b"", "repeat": data[i:j] * 2, "add": data[i:j] + draw.randbytes(9)}
    return data[:i] + new.get(how, draw.randbytes(j - i)) + data[j:]
