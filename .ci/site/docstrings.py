"""Extension of griffe: what the API's pages show of docstrings and types.

Roles of reStructuredText become links where the site has the object, else code. Doctests become code, where no section
holds them. ``Annotated[str, OneOf(...)]`` becomes ``str``.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from griffe import Expr, ExprSubscript, ExprTuple, Extension, Function, Object

ROLE = re.compile(r":(?:attr|class|data|exc|func|meth|mod|obj):`(~?)([\w.]+)`")

DOCTEST = re.compile(r"^>>> .*(?:\n.+)*", re.M)


def linked(found: re.Match[str]) -> str:
    """Return the link of a role; ``~`` shows the last part of the name only."""
    shown = found[2].rpartition(".")[2] if found[1] else found[2]
    return f'<autoref optional identifier="{found[2]}"><code>{shown}</code></autoref>'


def plain(found: Any) -> Any:
    """Return an annotation without the metadata of ``Annotated``."""
    if isinstance(found, ExprSubscript) and str(found.left) == "Annotated" and isinstance(found.slice, ExprTuple):
        return plain(found.slice.elements[0])
    if isinstance(found, (list, tuple)):
        return [plain(each) for each in found]
    if isinstance(found, Expr) and dataclasses.is_dataclass(found):
        for field in dataclasses.fields(found):
            if field.name != "parent":
                setattr(found, field.name, plain(getattr(found, field.name)))
    return found


class Readable(Extension):
    """Replacement of roles and doctests in docstrings, and of annotations."""

    def on_function(self, *, func: Function, **_: Any) -> None:
        """Simplify the annotations of a function."""
        for parameter in func.parameters:
            parameter.annotation = plain(parameter.annotation)
        func.returns = plain(func.returns)

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Replace roles and doctests in the docstring of an object."""
        if obj.docstring:
            text = ROLE.sub(linked, obj.docstring.value)
            obj.docstring.value = DOCTEST.sub(r"```pycon\n\g<0>\n```", text)
