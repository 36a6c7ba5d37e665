"""What each clustering of classes gave, a line of JSON each: ``mapping.jsonl`` in a run's folder."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import NamedTuple, Optional, Union

from ...errors import InputError
from ...replacing import replacing

logger = logging.getLogger("davpt_seg")

FILE_NAME = "mapping.jsonl"


class Clustering(NamedTuple):
    """One clustering, and the mapping after it.

    Attributes:
        iter: iterations trained before it; 0 is before training.
        epoch: epochs trained before it; None in iteration-based training.
        seconds: that k-means took.
        moved: how many classes changed their prompt. Before the first clustering, class c is at prompt c mod M.
        num_prompts: M.
        prompt_of_class: C prompts.
        classes: C names.
    """

    iter: int
    epoch: Optional[int]
    seconds: float
    moved: int
    num_prompts: int
    prompt_of_class: list[int]
    classes: list[str]

    def groups(self) -> list[list[str]]:
        """Return the names of the classes that each prompt speaks for, M lists."""
        return [
            [name for name, own in zip(self.classes, self.prompt_of_class) if own == prompt]
            for prompt in range(self.num_prompts)
        ]


def read_clusterings(path: Union[str, Path]) -> list[Clustering]:
    """Read the clusterings of a run, in their order.

    A last line that the end of a run cut off is left out, with a warning.

    Raises:
        InputError: no such file, or a line that is no clustering.
    """
    if not Path(path).is_file():
        raise InputError(f"{str(path)!r} does not exist; PromptMappingHook writes it when it clusters classes")
    *lines, unfinished = Path(path).read_text(encoding="utf-8").split("\n")
    if unfinished:
        logger.warning("%s: the last line is cut off and left out", path)
    clusterings = []
    for number, line in enumerate(lines, start=1):
        try:
            clusterings.append(Clustering(**json.loads(line)))
        except (json.JSONDecodeError, TypeError) as error:
            raise InputError(f"{str(path)!r}, line {number}, is no clustering: {error}") from error
    return clusterings


class MappingLog:
    """Writes a run's clusterings, and goes on with those of a run that is resumed.

    Args:
        path: the file. Its lines of later iterations are removed, for a resumed run does them again; a run that starts
            anew, at iteration 0, begins an empty one.
        iterations: trained so far.

    Raises:
        InputError: the file to resume is broken.
    """

    def __init__(self, path: Union[str, Path], iterations: int) -> None:
        self.path = Path(path)
        self._keep(before=iterations + 1 if iterations else 0)
        self._begun = False

    def write(self, clustering: Clustering) -> None:
        """Append a line; it is in the file when this returns."""
        if not self._begun:  # a run that stopped between its last iteration and its clustering does that one again
            self._keep(before=clustering.iter)
            self._begun = True
        with self.path.open("a", encoding="utf-8") as file:
            file.write(_line(clustering))

    def _keep(self, before: int) -> None:
        if not self.path.is_file():
            return
        kept = [clustering for clustering in read_clusterings(self.path) if clustering.iter < before] if before else []
        with replacing(self.path) as part:
            part.write_text("".join(map(_line, kept)), encoding="utf-8")


def _line(clustering: Clustering) -> str:
    return json.dumps(clustering._asdict(), ensure_ascii=False) + "\n"
