"""Figures and tables that a plan declares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, PlainValidator, StrictStr, ValidationInfo, field_validator

from ...errors import InputError, nearest
from .fields import Many
from .parts import Part, shortened
from .variants import Series


def _series(name: Any, info: ValidationInfo) -> Series:
    if isinstance(name, Series):
        return name
    return _named(name, info.context["series"], "entry with over")  # type: ignore[index]


def _variant(name: Any, info: ValidationInfo) -> str:
    if info.context is not None:
        _named(name, info.context["methods"], "method or variant")
    return str(name)


def _named(name: Any, known: Mapping[str, Any], what: str) -> Any:
    if not isinstance(name, str) or name not in known:
        raise InputError(f"the plan has no {what} {shortened(name)}; {nearest(name, known)}")
    return known[name]


VariantName = Annotated[str, PlainValidator(_variant)]


class Figure(Part):
    """Figure as DA-VPT's Fig. 4: a line for each series, and variants without the axis as horizontal lines."""

    series: Many[Annotated[Series, PlainValidator(_series)]] = Field(description="lines: names of entries with `over`")
    baselines: Many[VariantName] = Field(default=(), description="horizontal lines: names of methods or variants")
    xlabel: StrictStr = Field(default="", description="name of the axis; by default that of the first series")
    title: StrictStr = Field(default="", description="title above it")

    @field_validator("series")
    @classmethod
    def _some(cls, series: tuple[Series, ...]) -> tuple[Series, ...]:
        if not series:
            raise InputError("must name entries of the methods that have over, got none")
        return series


class Table(Part):
    """Table as DA-VPT's Table 4: check marks for the components of each variant, scores and costs."""

    rows: dict[VariantName, Many[StrictStr]] = Field(
        description="components by variant; the others are compared with the first"
    )
    title: StrictStr = Field(default="", description="title above it")

    @field_validator("rows", mode="before")
    @classmethod
    def _two(cls, rows: Any) -> Any:
        if not isinstance(rows, Mapping) or len(rows) < 2:
            raise InputError(f"must be two or more 'variant: [its components]', got {shortened(rows)}")
        return rows

    def components(self) -> tuple[str, ...]:
        """List all components, in order of appearance."""
        return tuple(dict.fromkeys(each for row in self.rows.values() for each in row))
