"""Commands of README and docs, as a shell would read them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
BLOCK = re.compile(r"^ *```(?:shell|bash|console)\n(.*?)^ *```", re.S | re.M)
ASSIGNMENT = re.compile(r"(\w+)=(.*)", re.S)


class Command(NamedTuple):
    """Command of a page.

    Attributes:
        page: name of the page.
        line: line as written, on one line.
        words: what a shell passes on, with variables and braces replaced, and without assignments before the program.
    """

    page: str
    line: str
    words: tuple[str, ...]


def commands() -> Iterator[Command]:
    """Yield the commands of all pages; assignments alone are no commands."""
    for page in PAGES:
        variables: dict[str, str] = {}
        for block in BLOCK.findall(page.read_text(encoding="utf-8")):
            yield from in_block(page.name, block, variables)


def in_block(page: str, block: str, variables: dict[str, str]) -> Iterator[Command]:
    """Yield the commands of one block; a loop's variable has its first value.

    Args:
        page: name of the page.
        block: lines of a shell.
        variables: values of the page's variables so far; changed in place.
    """
    for line in re.sub(r"\\\n\s*", " ", block).splitlines():
        for part in divided(line):
            words = expanded(part, variables)
            if words[0] == "for":  # NAME in VALUES
                variables[words[1]] = words[3]
            if words[0] == "export":
                words = words[-1:]
            while words and (found := ASSIGNMENT.fullmatch(words[0])) and found[1].isidentifier():
                if len(words) == 1:
                    variables[found[1]] = found[2]
                words.pop(0)
            if words:
                yield Command(page, " ".join(line.split()), tuple(words))


def divided(line: str) -> list[str]:
    """Divide a line at ``&&`` and ``;``, without its comment."""
    reader = shlex.shlex(line, posix=False, punctuation_chars="&;")
    reader.whitespace_split, reader.commenters = True, "#"
    parts: list[list[str]] = [[]]
    for token in reader:
        if token in ("&&", ";"):
            parts.append([])
        else:
            parts[-1].append(token)
    return [" ".join(part) for part in parts if part]


def expanded(part: str, variables: dict[str, str]) -> list[str]:
    """Return the words of a command after its variables and braces are replaced, as bash does."""
    for name, value in variables.items():
        part = re.sub(rf"\${name}\b", value.replace("\\", r"\\"), part)
    return [word for pattern in shlex.split(part) for word in alternatives(pattern)]


def alternatives(pattern: str) -> list[str]:
    """What a shell makes of braces: a{b,c} is ab and ac."""
    head, brace, rest = pattern.partition("{")
    inside, _, tail = rest.partition("}")
    if not brace or "," not in inside:
        return [pattern]
    return [head + each + end for each in inside.split(",") for end in alternatives(tail)]
