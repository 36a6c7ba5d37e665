"""Names of folders that state a split."""

from __future__ import annotations

import re
from pathlib import PurePath

SPLIT = re.compile(r"(?P<name>train|training|val|valid|validation|test|testing)(?:[_-]?\d{2,4})?", re.IGNORECASE)
NAMES = dict(training="train", valid="val", validation="val", testing="test")
KINDS = r"annot|annotations?|labels?|masks?|images?|imgs?|gt|data|set|dataset|seg|x|y"
BEFORE, AFTER = re.compile(rf"^({KINDS})[_-]", re.IGNORECASE), re.compile(rf"[_-]?({KINDS})$", re.IGNORECASE)


def split_of(folder: PurePath) -> str:
    """Return the split that a folder's name states; empty if none.

    ``trainannot``, ``images_train`` and ``training_set`` state ``train``.
    """
    for part in folder.parts:
        for text in (part, AFTER.sub("", part), BEFORE.sub("", part)):
            found = SPLIT.fullmatch(text)
            if found:
                name = found["name"].lower()
                return NAMES.get(name, name)
    return ""
