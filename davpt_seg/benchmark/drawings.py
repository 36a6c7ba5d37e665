"""What a plan wants drawn: figures of accuracy along an axis, and tables of components added one after another."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Optional

from ..errors import InputError, nearest
from .checks import check_keys
from .series import Series
from .values import list_of


@dataclass(frozen=True)
class FigureSpec:
    """The form of DA-VPT's Fig. 4: a line for each series, and variants without the axis as horizontal lines.

    Args:
        name: of its files.
        series: its lines.
        baselines: names of methods or variants.
        xlabel: what the axis is called.
        title: of the picture.
    """

    name: str
    series: tuple[Series, ...]
    baselines: tuple[str, ...]
    xlabel: str
    title: str


@dataclass(frozen=True)
class TableSpec:
    """The form of DA-VPT's Table 4: the components of each variant as check marks, what they bring and what they cost.

    Args:
        name: of its file.
        rows: components by variant, the first of which the others are compared with.
        title: above it.
    """

    name: str
    rows: Mapping[str, tuple[str, ...]]
    title: str

    def components(self) -> tuple[str, ...]:
        """List all components, in the order in which they come."""
        return tuple(dict.fromkeys(each for row in self.rows.values() for each in row))


@dataclass(frozen=True)
class Drawings:
    """All of a plan's."""

    figures: tuple[FigureSpec, ...] = ()
    tables: tuple[TableSpec, ...] = ()


def drawings(plan: Mapping[str, Any], names: Collection[str], series: Mapping[str, Series]) -> Drawings:
    """Read the keys ``figures`` and ``tables`` of a plan.

    Args:
        plan: as it was read.
        names: of its methods and variants.
        series: of its variants.

    Raises:
        InputError: an unknown key, or a name that the plan does not have.
    """
    return Drawings(
        tuple(_figure(name, content, names, series) for name, content in _named(plan, "figures")),
        tuple(_table(name, content, names) for name, content in _named(plan, "tables")),
    )


def _named(plan: Mapping[str, Any], key: str) -> list[tuple[str, Mapping[str, Any]]]:
    content = plan.get(key) or {}
    if not isinstance(content, Mapping) or not all(isinstance(each, Mapping) for each in content.values()):
        raise InputError(f"{key} must be a mapping of names to what is drawn, got {content!r}")
    for name in content:
        if not str(name).replace("_", "").replace("-", "").isalnum():
            raise InputError(f"{key}: {name!r} becomes a file; use letters, digits, _ and -")
    return [(str(name), each) for name, each in content.items()]


def _figure(name: str, content: Mapping[str, Any], names: Collection[str], series: Mapping[str, Series]) -> FigureSpec:
    where = f"figure {name!r}"
    check_keys(content, ("series", "baselines", "xlabel", "title"), where)
    lines = list_of(content.get("series"), f"{where}, series")
    if not lines:
        raise InputError(f"{where} has no series: name entries of the methods that have over")
    for line in lines:
        _check_name(line, tuple(series), f"{where}, series", "entry with over")
    baselines = list_of(content.get("baselines"), f"{where}, baselines")
    for baseline in baselines:
        _check_name(baseline, tuple(names), f"{where}, baselines", "method or variant")
    chosen = tuple(series[line] for line in lines)
    return FigureSpec(
        name, chosen, baselines, _text(content, "xlabel", chosen[0].axis, where), _text(content, "title", "", where)
    )


def _table(name: str, content: Mapping[str, Any], names: Collection[str]) -> TableSpec:
    where = f"table {name!r}"
    check_keys(content, ("rows", "title"), where)
    rows = content.get("rows")
    if not isinstance(rows, Mapping) or len(rows) < 2:
        raise InputError(f"{where}: rows must be two or more 'variant: [its components]', got {rows!r}")
    for row in rows:
        _check_name(row, tuple(names), f"{where}, rows", "method or variant")
    read = {str(row): tuple(map(str, list_of(parts, f"{where}, {row}"))) for row, parts in rows.items()}
    return TableSpec(name, read, _text(content, "title", "", where))


def _check_name(name: Any, known: tuple[str, ...], where: str, what: str) -> None:
    if name not in known:
        raise InputError(f"{where}: the plan has no {what} {name!r}; {nearest(name, known)}")


def _text(content: Mapping[str, Any], key: str, default: Optional[str], where: str) -> str:
    text = content.get(key, default)
    if not isinstance(text, str):
        raise InputError(f"{where}: {key} must be a text, got {text!r}")
    return text
