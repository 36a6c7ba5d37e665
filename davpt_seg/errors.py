"""Errors for the user, and parts of their messages: similar names and shortened lists."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Collection

DIVERGED = 3  # exit status of a training that diverged; 1 is a crash, 2 a wrong command line
ALIKE = 0.6  # smallest similarity (difflib's) of a near name
MARGIN = 0.1  # largest difference of similarity to the nearest name, for further near names
MOST_NEAR = 3
MOST_KNOWN = 40  # names in one message; there are 31 data parts
SHOWN = 5  # entries of other lists, such as the tensors of a file


class InputError(ValueError):
    """A file, option or value that cannot be used.

    The message is one paragraph: what is wrong, what was expected, what to do. Commands print it and end with status 2.
    """


class DataError(InputError):
    """A data set that differs from what its config describes.

    Apart from other errors because ``davpt-seg check-dataset`` lists it among its findings and continues, and the
    converters skip to the next data set.
    """


class DivergedError(InputError):
    """A training whose losses or parameters are no longer finite.

    Apart from other errors because the exit status is 3, by which a benchmark distinguishes it from a failed run.
    """


def nearest(name: object, known: Collection[object], listing: str = "") -> str:
    """Return the end of a sentence about an unknown name: near names and known names.

    Args:
        name: unknown name.
        known: names to choose from.
        listing: text in place of the list of known names.

    Returns:
        ``did you mean 'x'? Known: x, y`` or ``known: x, y``, without a full stop. Beside near names, a long list is
        omitted.
    """
    known = [str(each) for each in known]
    near = near_names(name, known)
    names = listing or ("" if near and len(known) > MOST_KNOWN else f"known: {some(known, MOST_KNOWN) or 'none'}")
    if not near:
        return names
    return f"did you mean {' or '.join(map(repr, near))}? {names[:1].upper()}{names[1:]}".rstrip()


def near_names(name: object, known: Collection[object], alike: float = ALIKE) -> list[str]:
    """Return at most three known names that are similar to an unknown one, the nearest first.

    Case is ignored. If no complete name is near, the parts after the last ``/`` are compared: ``dtd`` is near
    ``vtab/dtd``.

    Args:
        name: unknown name.
        known: names to choose from.
        alike: smallest similarity, from 0 (no common letter) to 1 (equal).
    """
    for comparable in (str.lower, _last_part):
        meant = comparable(str(name))
        names = {comparable(str(each)): str(each) for each in known}
        near = difflib.get_close_matches(meant, names, MOST_NEAR, alike)
        similarity = [difflib.SequenceMatcher(None, each, meant).ratio() for each in near]
        if near:
            return [names[each] for each, value in zip(near, similarity) if value >= similarity[0] - MARGIN]
    return []


def _last_part(name: str) -> str:
    return name.lower().rpartition("/")[2]


def some(listed: Collection[object], most: int = SHOWN, separator: str = ", ") -> str:
    """Join the first entries of a list that may be long, and count the others."""
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return separator.join(map(str, itertools.islice(listed, most))) + more
