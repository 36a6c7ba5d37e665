"""Adapter folders on the Hugging Face hub: the files that are read are downloaded, and those of a folder uploaded."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Union

from ...errors import InputError
from ...packages import install
from .config import read_config
from .places import FILES, HUB, MOST, LocalPlace, check_file

NAME = re.compile(r"hub:([\w-][\w.-]{0,95}/[\w-][\w.-]{0,95})(?:@([\w./-]{1,100}))?")
SECONDS = 10  # that the hub may take to answer


class HubPlace:
    """A repository of the hub: one commit of it, of which a folder's own files are read.

    Args:
        text: ``hub:USER/NAME``, or ``hub:USER/NAME@REVISION``.

    Attributes:
        commit: revision that was named, or None; the commit of the first file once that was read.

    Raises:
        InputError: another text, or huggingface_hub is missing.
    """

    def __init__(self, text: str) -> None:
        found = NAME.fullmatch(text)
        if found is None or ".." in text:
            raise InputError(f"{text!r} must be hub:USER/NAME, or hub:USER/NAME@REVISION")
        require_hub()
        self.name, self.repository, self.commit = f"adapter {text!r}", found[1], found[2]

    def file(self, name: str) -> Path:
        """Return the path of a file in the cache, downloaded if it is not there; all files are of one commit."""
        from huggingface_hub import hf_hub_download

        cached = not self._answers(name)  # then the hub's library would try again for half a minute
        with self.asking(name):
            path = Path(hf_hub_download(self.repository, name, revision=self.commit, local_files_only=cached))
        self.commit = path.parent.name  # the cache has a folder for each
        path = path.resolve()
        check_file(path, name, self.name)
        return path

    def beside(self, name: str) -> Path:
        """Return a path at which no file is: nothing is next to a repository."""
        return Path(os.devnull, name)

    def _answers(self, name: str) -> bool:
        """Ask the hub for a file's size, and return whether it can be reached.

        Raises:
            InputError: the file is too large, or the hub refuses.
        """
        from huggingface_hub import get_hf_file_metadata, hf_hub_url
        from huggingface_hub.errors import HfHubHTTPError

        url = hf_hub_url(self.repository, name, revision=self.commit)
        try:
            size = get_hf_file_metadata(url, timeout=SECONDS).size
        except HfHubHTTPError as error:
            raise _refused(self.name, name, error) from error
        except _no_network():
            return False
        if size is not None and size > MOST[name]:
            raise InputError(f"{self.name}: {name} has {size:,} bytes, and at most {MOST[name]:,} are read")
        return True

    @contextmanager
    def asking(self, name: str) -> Iterator[None]:
        """Let errors of the hub name what was asked for."""
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

        try:
            yield
        except LocalEntryNotFoundError as error:
            raise InputError(
                f"{self.name}: {name} is not in the Hugging Face cache, and the hub cannot be reached; download the "
                "repository where there is a network, and give its folder"
            ) from error
        except (ValueError, HfHubHTTPError) as error:
            raise _refused(self.name, name, error) from error
        except _no_network() as error:
            raise InputError(f"{self.name}: the hub cannot be reached: {_line(error)}; try again later") from error


def push(folder: Union[str, os.PathLike[str]], repository: str, private: bool = False) -> str:
    """Upload a folder to the hub, only what a folder may hold, and return its address.

    Args:
        folder: a folder that :func:`~davpt_seg.core.load_adapter` reads.
        repository: ``USER/NAME``; it is made where it is not there.
        private: make it a private one.

    Raises:
        InputError: no folder, no such name, or the hub refuses.
    """
    place = HubPlace(HUB + repository)
    read_config(LocalPlace(Path(folder)))
    from huggingface_hub import HfApi

    api = HfApi()
    with place.asking("place for the upload"):
        api.create_repo(place.repository, private=private, exist_ok=True)
        api.upload_folder(
            repo_id=place.repository,
            folder_path=os.fspath(folder),
            allow_patterns=list(FILES),
            commit_message="Adapter of davpt_seg",
            revision=place.commit,
        )
    return f"{HUB}{place.repository}"


def require_hub() -> Any:
    """Return ``huggingface_hub``.

    Raises:
        InputError: it is missing.
    """
    try:
        import huggingface_hub
    except ImportError as error:
        raise InputError(f"hub:USER/NAME needs huggingface_hub: {install('huggingface_hub')}") from error
    return huggingface_hub


def _no_network() -> tuple[type[BaseException], ...]:
    """Return what the hub's library raises without a network, whatever HTTP library it has."""
    from huggingface_hub.errors import HfHubHTTPError

    return (OSError, *HfHubHTTPError.__bases__)


def _refused(where: str, name: str, error: BaseException) -> InputError:
    return InputError(
        f"{where}: the hub has no {name} for you: {_line(error)}. Check the name; a private one needs a token (hf auth "
        "login)"
    )


def _line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
