"""Arguments of configurable modules, checked against their annotations and refused by name.

A module says once what it takes, in its signature: ``rank: Size = 8``, ``kind: Annotated[str, OneOf(KINDS)]``; see
:mod:`davpt_seg.core.annotations`. Arguments that belong together are a frozen dataclass, an :class:`Arguments`.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Iterable, Mapping
from typing import Any, Callable, ClassVar, TypeVar, cast, get_type_hints

import numpy as np

from ..errors import InputError, nearest
from .annotations import Unfit, advice, describe, read

Function = TypeVar("Function", bound=Callable[..., Any])
Own = TypeVar("Own", bound="Arguments")


class Arguments:
    """Base of frozen dataclasses that hold arguments: their values are checked against their annotations.

    Attributes:
        what: part of the config that they are, for messages.
    """

    what: ClassVar[str]

    def __post_init__(self) -> None:
        for name in self.names():
            object.__setattr__(self, name, _checked(type(self), name, getattr(self, name), self.what))

    @classmethod
    def names(cls) -> list[str]:
        """Return the names of the arguments."""
        return [field.name for field in dataclasses.fields(cast(Any, cls))]

    @classmethod
    def of(cls: type[Own], config: Any, **given: Any) -> Own:
        """Make them from a dict of a config; ``given`` are those that no config sets.

        Raises:
            InputError: no dict, an unknown name, with the nearest known one, or a value that does not fit.
        """
        check_names(cls, require_dict(config, cls.what), cls.what, given)
        return cls(**config, **given)


def require_dict(config: Any, what: str) -> Mapping[str, Any]:
    """Return a config that is a dict of arguments.

    Raises:
        InputError: it is something else.
    """
    if not isinstance(config, Mapping):
        raise InputError(f"{what} must be a dict of arguments, got {config!r}; write dict(...)")
    return config


def checked(what: str, elsewhere: Iterable[str] = ()) -> Callable[[Function], Function]:
    """Decorate a function or ``__init__`` so that its arguments are checked against their annotations at each call.

    Args:
        what: name of the module, for messages.
        elsewhere: arguments that the function checks itself.
    """

    def decorate(function: Function) -> Function:
        parameters = list(inspect.signature(function).parameters.values())
        required = [p.name for p in parameters if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
        positional = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
        open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters)

        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            if not open_ended:
                check_names(function, kwargs, what, given=("self",))
            missing = [name for name in required[len(args) :] if name not in kwargs]
            if missing:
                raise InputError(f"{what} needs {' and '.join(missing)}")
            skipped = {*elsewhere, "self"}
            args = (
                tuple(
                    value if name in skipped else _checked(function, name, value, what)
                    for name, value in zip(positional, args)
                )
                + args[len(positional) :]
            )
            kwargs = {
                name: value if name in skipped else _checked(function, name, value, what)
                for name, value in kwargs.items()
            }
            return function(*args, **kwargs)

        return cast(Function, run)

    return decorate


def check_arguments(
    function: Callable[..., Any],
    arguments: Mapping[str, Any],
    what: str,
    given: Iterable[str] = (),
    further: Iterable[str] = (),
) -> None:
    """Check keyword arguments of a function or class, by name and value, without calling it.

    Args:
        function: a function whose named parameters are known; ``further`` names those that its ``**kwargs`` take.
        arguments: from a config.
        what: the part of the config, for messages.
        given: arguments that do not come from the config.
        further: names that are known besides.

    Raises:
        InputError: an unknown name, with the nearest known one; a value of another type or out of range.
    """
    check_names(function, arguments, what, given, further)
    check_values(function, arguments, what)


def check_values(function: Callable[..., Any], arguments: Mapping[str, Any], what: str) -> None:
    """Check the values of those arguments that a function or class annotates; see :func:`check_arguments`."""
    for name, value in arguments.items():
        _checked(function, name, value, what)


def check_names(
    function: Callable[..., Any],
    names: Iterable[str],
    what: str,
    given: Iterable[str] = (),
    further: Iterable[str] = (),
) -> None:
    """Check that a function or class takes keyword arguments of these names; see :func:`check_arguments`."""
    parameters = inspect.signature(function).parameters.values()
    known = [p.name for p in parameters if p.kind is not p.VAR_KEYWORD and p.name not in given]
    known += further
    for name in names:
        if name not in known:
            raise InputError(f"{what} has no argument {name!r}; {nearest(name, known)}")


def _checked(function: Callable[..., Any], name: str, value: Any, what: str) -> Any:
    """Return the value of an argument as its annotation has it (NumPy's numbers become Python's)."""
    annotation = _annotations(function).get(name, Any)
    try:
        return read(value, annotation)
    except Unfit:
        shown = repr(value)
        shown = shown if len(shown) <= 200 else shown[:200] + "..."
        raise InputError(
            f"{what} {name} must be {describe(annotation)}, got {shown}{advice(value, annotation)}"
        ) from None


@functools.cache
def _annotations(function: Callable[..., Any]) -> dict[str, Any]:
    constructed = inspect.isclass(function) and not dataclasses.is_dataclass(function)
    return get_type_hints(function.__init__ if constructed else function, include_extras=True)


def plain(value: Any) -> Any:
    """Return a copy of arguments in which dicts, lists and numbers are Python's own; other objects stay as they are."""
    if isinstance(value, Mapping):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    return value
