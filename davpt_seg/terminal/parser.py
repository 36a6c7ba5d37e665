"""Parser of every command: short errors that name the right option, and ``--traceback``."""

from __future__ import annotations

import argparse
import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn, Optional

from ..errors import nearest
from .elsewhere import replacement
from .processes import leave_message

TRACEBACK = "--traceback"
WIDTH = 100  # of a description
DASHES = re.compile(r"^-?[\u2010-\u2015\u2212]+")  # that text editors and web pages make of "--"


class CommandParser(argparse.ArgumentParser):
    """Parser whose errors are one paragraph without the usage, and which knows the option for an unknown one.

    Args:
        examples: command lines, one a line, which ``--help`` shows before the arguments.
        args, kwargs: see :class:`argparse.ArgumentParser`.
    """

    def __init__(self, *args: Any, examples: str = "", **kwargs: Any) -> None:
        if examples:
            description = textwrap.fill(kwargs["description"], WIDTH)
            kwargs["description"] = f"{description}\n\nexamples:\n{textwrap.indent(examples, '  ')}"
            kwargs["formatter_class"] = argparse.RawDescriptionHelpFormatter
        super().__init__(*args, **kwargs)
        self.add_argument(TRACEBACK, action="store_true", help="print the traceback of an error, for a bug report")

    def parse_args(  # type: ignore[override]  # argparse declares it for each kind of namespace
        self, args: Optional[Sequence[str]] = None, namespace: Any = None
    ) -> Any:
        """Parse arguments; see :meth:`argparse.ArgumentParser.parse_args`."""
        parsed, others = self.parse_known_args(args, namespace)
        if others:
            self.refuse(others)
        return parsed

    def parse_intermixed_args(  # type: ignore[override]
        self, args: Optional[Sequence[str]] = None, namespace: Any = None
    ) -> Any:
        """Parse arguments of which positional ones may be between options."""
        parsed, others = self.parse_known_intermixed_args(args, namespace)
        if others:
            self.refuse(others)
        return parsed

    def refuse(self, unknown: Sequence[str]) -> NoReturn:
        """End with an error about arguments that this command does not have."""
        plain = [DASHES.sub("--", each) for each in unknown]
        first = next((each for each in plain if each.startswith("-")), "").partition("=")[0]
        options = list(self._options())
        if first:
            advice = replacement(first, options, list(self._arguments())) or nearest(first, options)
        elif all("=" in each for each in unknown) and "--cfg-options" in options:
            advice = (
                f"words are joined by commas, without blanks (WORD=VALUE,{','.join(unknown)}), and keys of the config "
                "follow --cfg-options"
            )
        else:
            advice = "it takes no further ones"
        self.error(f"unrecognized arguments: {' '.join(unknown)}: {advice}")

    def error(self, message: str) -> NoReturn:
        """Print an error about the command line, and end with status 2."""
        end = "" if message.endswith(("?", ".")) else "."
        text = f"{message}{end} '{self.prog} --help' lists the arguments"
        if leave_message(text):
            self.exit(2)
        self.exit(2, f"{self.prog}: error: {text}\n")

    def _arguments(self) -> Iterator[str]:
        yield from (action.dest for action in self._actions if not action.option_strings)

    def _options(self) -> Iterator[str]:
        for action in self._actions:
            if action.help != argparse.SUPPRESS:
                yield from (name for name in action.option_strings if name.startswith("--"))
