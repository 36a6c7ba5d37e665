"""Keyword arguments from configs, refused by name where nobody takes them."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable
from typing import Any, Callable


def check_arguments(
    function: Callable[..., Any],
    names: Iterable[str],
    what: str,
    given: Iterable[str] = (),
    further: Iterable[str] = (),
) -> None:
    """Check that a function or class takes keyword arguments of these names.

    Args:
        function: whose named parameters are known; what ``**kwargs`` take is said by ``further``.
        names: of the arguments that a config gives.
        what: the part of the config, for the message.
        given: arguments that do not come from the config.
        further: names that are known besides.

    Raises:
        ValueError: one that it does not take, with the nearest that it does, and all of them.
    """
    parameters = inspect.signature(function).parameters.values()
    known = [p.name for p in parameters if p.kind is not p.VAR_KEYWORD and p.name not in given]
    known += further
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3)
            raise ValueError(
                f"{what} has no argument {name!r}"
                + (f"; did you mean {' or '.join(map(repr, near))}?" if near else ";")
                + f" It takes {', '.join(known)}"
            )
