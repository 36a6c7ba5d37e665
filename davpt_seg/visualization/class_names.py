"""Names of classes as texts of a table or figure: no control characters, no markup, no endless ones."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

LONGEST = 60  # letters
PLAIN: dict[Any, Any] = {"text.parse_math": False}  # matplotlib's setting under which '$' is a letter


def shown(name: str, longest: int = LONGEST) -> str:
    """Return a name in one line: control characters are escaped, and the end of a long name is replaced by dots."""
    cut = name if len(name) <= longest else name[: longest - 3] + "..."
    return "".join(
        letter.encode("unicode_escape").decode() if unicodedata.category(letter).startswith("C") else letter
        for letter in cut
    )


def all_shown(names: Sequence[str]) -> list[str]:
    """Return the names of classes for a table or figure."""
    return [shown(name) for name in names]
