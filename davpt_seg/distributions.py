"""Stand-in for ``pkg_resources``: the two names of it that MMEngine uses, on :mod:`importlib.metadata`.

setuptools 81 removed ``pkg_resources``, and Python 3.12 brings no setuptools. MMEngine's ``is_installed`` and
``get_installed_path`` import it when they are called, for ``mmseg::`` bases of configs.
:func:`davpt_seg.compat.provide_pkg_resources` makes Python find this file under that name where there is no other.
"""

from __future__ import annotations

import os
from importlib import metadata


class DistributionNotFound(Exception):
    """Error for a distribution that is not installed."""


class Distribution:
    """Installed distribution.

    Args:
        found: the distribution as :mod:`importlib.metadata` describes it.

    Attributes:
        location: folder that its packages are in.
    """

    def __init__(self, found: metadata.Distribution) -> None:
        self._found = found
        self.location = os.path.abspath(str(found.locate_file("")))

    def has_metadata(self, name: str) -> bool:
        """Return whether a file such as ``top_level.txt`` is in its metadata."""
        return self._found.read_text(name) is not None

    def get_metadata(self, name: str) -> str:
        """Return the text of a file of its metadata."""
        text = self._found.read_text(name)
        if text is None:
            raise FileNotFoundError(f"{self._found.metadata['Name']} has no {name}")
        return text


def get_distribution(name: str) -> Distribution:
    """Return an installed distribution by its name.

    Raises:
        DistributionNotFound: it is not installed.
    """
    try:
        return Distribution(metadata.distribution(name))
    except metadata.PackageNotFoundError:
        raise DistributionNotFound(f"The distribution {name!r} is not installed.") from None
