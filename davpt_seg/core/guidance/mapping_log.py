"""Log of the clusterings of classes, one line of JSON each: ``mapping.jsonl`` in a run's folder."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import NamedTuple, Optional, Union

from ...errors import InputError
from ...replacing import replacing
from ...text_files import as_text, parse_json

logger = logging.getLogger("davpt_seg")

FILE_NAME = "mapping.jsonl"
MOST, LONGEST = 2**53, 10**9  # iterations, and seconds of k-means
ADVICE = "delete the line, or the file, which a training writes again"


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
        groups: list[list[str]] = [[] for _ in range(self.num_prompts)]
        for name, prompt in zip(self.classes, self.prompt_of_class):
            groups[prompt].append(name)
        return groups


def read_clusterings(path: Union[str, Path]) -> list[Clustering]:
    """Read the clusterings of a run, in order.

    An incomplete last line, after a killed run, is skipped with a warning.

    Raises:
        InputError: the file does not exist, or a line is no clustering.
    """
    if not Path(path).is_file():
        raise InputError(f"{str(path)!r} does not exist; PromptMappingHook writes it when it clusters classes")
    complete, _, unfinished = Path(path).read_bytes().rpartition(b"\n")
    if unfinished:
        logger.warning("%s: the last line is incomplete and is skipped", path)
    clusterings: list[Clustering] = []
    for number, line in enumerate(as_text(complete, path).split("\n") if complete else (), start=1):
        where = f"{str(path)!r}, line {number}"
        try:
            clustering = Clustering(**parse_json(line, "it"))
        except (InputError, TypeError) as error:
            raise InputError(f"{where}, is no clustering: {error}; {ADVICE}") from error
        problem = _problem(clustering, clusterings[-1] if clusterings else clustering)
        if problem:
            raise InputError(f"{where}, is no clustering: {problem}; {ADVICE}")
        clusterings.append(clustering)
    return clusterings


def _problem(clustering: Clustering, before: Clustering) -> str:
    """Describe what is wrong with a line's values; empty if nothing is.

    Args:
        clustering: the line's clustering.
        before: the previous line's clustering.
    """
    own, classes = clustering.prompt_of_class, clustering.classes
    if not isinstance(classes, list) or not classes or not all(isinstance(name, str) for name in classes):
        return "classes must be a list of names"
    for name, most in (("iter", MOST), ("epoch", MOST), ("moved", len(classes)), ("num_prompts", len(classes))):
        value = getattr(clustering, name)
        if not _is_count(value, most) and not (name == "epoch" and value is None):
            return f"{name} must be an integer from 0 to {most:,}, got {value!r:.40}"
    if not clustering.num_prompts:
        return "num_prompts must be at least 1, got 0"
    seconds = clustering.seconds
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds <= LONGEST:
        return f"seconds must be a number from 0 to {LONGEST:,}, got {seconds!r:.40}"
    if not isinstance(own, list) or len(own) != len(classes):
        return f"prompt_of_class must be a list of one prompt for each of the {len(classes)} classes"
    wrong = next((prompt for prompt in own if not _is_count(prompt, clustering.num_prompts - 1)), None)
    if wrong is not None:
        return f"prompt_of_class must hold integers from 0 to {clustering.num_prompts - 1}, got {wrong!r:.40}"
    if (classes, clustering.num_prompts) != (before.classes, before.num_prompts):
        return "classes and num_prompts must be those of the line before"
    if clustering.iter < before.iter:
        return f"iter is {clustering.iter}, after {before.iter} in the line before"
    return ""


def _is_count(value: object, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most


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
