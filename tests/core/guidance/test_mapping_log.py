"""The file of clusterings: what is written is read, and a resumed run writes nothing twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Optional

import pytest

from davpt_seg.core.guidance.mapping_log import Clustering, MappingLog, read_clusterings
from davpt_seg.errors import InputError

CLASSES = ["cat", "dog", "sky", "cloud", "caf\N{LATIN SMALL LETTER E WITH ACUTE}"]


def clustering(iteration: int, *prompts: int, epoch: Optional[int] = None) -> Clustering:
    return Clustering(iteration, epoch, 0.25, 2, 3, list(prompts or (0, 0, 1, 1, 0)), CLASSES)


def written(path: Path) -> list[int]:
    """The iterations of the lines, read without our reader."""
    return [json.loads(line)["iter"] for line in path.read_text().splitlines()]


def test_what_is_written_is_read_again_and_stands_there_at_once(tmp_path: Path) -> None:
    log = MappingLog(tmp_path / "mapping.jsonl", 0)
    wanted = []
    for iteration in (0, 10, 20):
        wanted.append(clustering(iteration, iteration % 3, 0, 1, 1, 2))
        log.write(wanted[-1])
        assert read_clusterings(log.path) == wanted
    first = json.loads(log.path.read_text().splitlines()[0])
    assert first.keys() == {"iter", "epoch", "seconds", "moved", "num_prompts", "prompt_of_class", "classes"}


def test_groups_are_the_names_of_each_prompts_classes() -> None:
    assert clustering(0, 2, 2, 0, 0, 2).groups() == [["sky", "cloud"], [], ["cat", "dog", CLASSES[4]]]


@pytest.mark.parametrize(
    ("trained", "left"),
    [(20, [0, 10, 20]), (19, [0, 10]), (10, [0, 10]), (1, [0]), (0, [])],
    ids=["all", "stopped before 20", "at a clustering", "early", "anew"],
)
def test_a_run_goes_on_with_the_lines_of_what_it_has_trained(tmp_path: Path, trained: int, left: list[int]) -> None:
    path = tmp_path / "mapping.jsonl"
    before = MappingLog(path, 0)
    for iteration in (0, 10, 20):
        before.write(clustering(iteration))
    log = MappingLog(path, trained)
    assert written(path) == left
    log.write(clustering(30))
    assert written(path) == [*left, 30]


def test_a_clustering_that_is_done_again_replaces_its_line(tmp_path: Path) -> None:
    path = tmp_path / "mapping.jsonl"
    for iteration in (0, 10):
        MappingLog(path, iteration).write(clustering(iteration, 0, 1, 2, 0, 1))
    MappingLog(path, 10).write(clustering(10, 2, 2, 2, 2, 2))  # stopped after iteration 10, before its clustering
    assert written(path) == [0, 10]
    assert read_clusterings(path)[-1].prompt_of_class == [2] * 5


def test_a_line_that_was_cut_off_is_left_out_and_a_broken_one_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "mapping.jsonl"
    log = MappingLog(path, 0)
    for iteration in (0, 10):
        log.write(clustering(iteration))
    whole = path.read_text()
    path.write_text(whole[:-20])
    assert [each.iter for each in read_clusterings(path)] == [0]
    assert "the last line is incomplete" in caplog.text
    MappingLog(path, 5).write(clustering(10))
    assert path.read_text() == whole
    path.write_text('{"iter": 0}\n' + whole)
    with pytest.raises(ValueError, match=r"mapping\.jsonl', line 1, is no clustering"):
        read_clusterings(path)


VALUES = dict(iter=3, epoch=1, seconds=0.5, moved=1, num_prompts=2, prompt_of_class=[0, 1, 0], classes=["a", "b", "c"])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (dict(num_prompts=10**9), "num_prompts must be an integer from 0 to 3"),
        (dict(num_prompts=0, prompt_of_class=[]), "num_prompts must be at least 1"),
        (dict(num_prompts=-1), "num_prompts must be"),
        (dict(num_prompts=True), "num_prompts must be"),
        (dict(iter=1e30), "iter must be an integer"),
        (dict(iter=10**400), "iter must be an integer"),
        (dict(iter=0), "iter is 0, after 3 in the line before"),
        (dict(epoch="1"), "epoch must be an integer"),
        (dict(moved=4), "moved must be an integer from 0 to 3"),
        (dict(seconds=1e300), "seconds must be a number"),
        (dict(seconds=float("nan")), "seconds must be a number"),
        (dict(seconds=None), "seconds must be a number"),
        (dict(prompt_of_class=[0, 1]), "one prompt for each of the 3 classes"),
        (dict(prompt_of_class=[0, 1, 2]), "integers from 0 to 1, got 2"),
        (dict(prompt_of_class=[0, 1, -1]), "integers from 0 to 1, got -1"),
        (dict(prompt_of_class=[0, 1, [0]]), "integers from 0 to 1"),
        (dict(classes="abc"), "classes must be a list of names"),
        (dict(classes=[1, 2, 3]), "classes must be a list of names"),
        (dict(classes=[]), "classes must be a list of names"),
        (dict(classes=["a", "b", "d"]), "classes and num_prompts must be those of the line before"),
        (dict(prompts=3), "unexpected keyword argument 'prompts'"),
    ],
)
def test_values_that_no_clustering_has_are_named_with_their_line(
    change: dict[str, Any], says: str, tmp_path: Path
) -> None:
    path = tmp_path / "mapping.jsonl"
    path.write_text("".join(json.dumps(values) + "\n" for values in (VALUES, {**VALUES, **change})))
    with pytest.raises(InputError, match=r"mapping\.jsonl', line 2, is no clustering: ") as refused:
        read_clusterings(path)
    assert says in str(refused.value)


@pytest.mark.parametrize("content", [b"[" * 9000, b"\xff\xfe[\0", b"\x00\x01", b"\xe9", b"[]", b"9" * 5000, b"{}"])
def test_a_log_of_other_content_is_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "mapping.jsonl"
    path.write_bytes(content + b"\n")
    with pytest.raises(InputError, match=r"mapping\.jsonl"):
        read_clusterings(path)


def test_a_line_that_was_cut_off_within_a_letter_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "mapping.jsonl"
    path.write_bytes((json.dumps(VALUES) + "\n").encode() + '{"classes": ["é'.encode()[:-1])
    assert [each.iter for each in read_clusterings(path)] == [3]


def test_a_missing_file_says_who_writes_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="PromptMappingHook writes it when it clusters classes"):
        read_clusterings(tmp_path / "mapping.jsonl")
