"""Log of the clusterings of classes, one line of JSON each: ``mapping.jsonl`` in a run's folder."""

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
        seconds: time of k-means.
        moved: number of classes whose prompt changed. Before the first clustering, class c is at prompt c mod M.
        num_prompts: number of prompts M.
        prompt_of_class: prompt of each of the C classes.
        classes: names of the C classes.
    """

    iter: int
    epoch: Optional[int]
    seconds: float
    moved: int
    num_prompts: int
    prompt_of_class: list[int]
    classes: list[str]

    def groups(self) -> list[list[str]]:
        """Return the names of the classes of each prompt, M lists."""
        return [
            [name for name, own in zip(self.classes, self.prompt_of_class) if own == prompt]
            for prompt in range(self.num_prompts)
        ]


def read_clusterings(path: Union[str, Path]) -> list[Clustering]:
    """Read the clusterings of a run, in order.

    An incomplete last line, after a killed run, is skipped with a warning.

    Raises:
        InputError: the file does not exist, or a line is no clustering.
    """
    if not Path(path).is_file():
        raise InputError(f"{str(path)!r} does not exist; PromptMappingHook writes it when it clusters classes")
    *lines, unfinished = Path(path).read_text(encoding="utf-8").split("\n")
    if unfinished:
        logger.warning("%s: the last line is incomplete and is skipped", path)
    clusterings = []
    for number, line in enumerate(lines, start=1):
        try:
            clusterings.append(Clustering(**json.loads(line)))
        except (json.JSONDecodeError, TypeError) as error:
            raise InputError(f"{str(path)!r}, line {number}, is no clustering: {error}") from error
    return clusterings


class MappingLog:
    """Writer of a run's clusterings, which appends to those of a resumed run.

    Args:
        path: log file. Lines of later iterations are removed, because a resumed run repeats them; a run that starts
            at iteration 0 begins an empty file.
        iterations: number of iterations trained so far.

    Raises:
        InputError: the file to resume is broken.
    """

    def __init__(self, path: Union[str, Path], iterations: int) -> None:
        self.path = Path(path)
        self._keep(before=iterations + 1 if iterations else 0)
        self._begun = False

    def write(self, clustering: Clustering) -> None:
        """Append a line and flush it."""
        if not self._begun:  # a run that stopped between its last iteration and its clustering repeats the clustering
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
