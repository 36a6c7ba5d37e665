"""Optuna's part: a search by TPE that was stopped continues as it would have."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import pytest
from optuna.trial import TrialState

from davpt_seg.benchmark.plan.space import Range, Space
from davpt_seg.benchmark.run.search import Search
from davpt_seg.errors import InputError

GRID = Space({"lr": (0.1, 0.01, 0.001), "weight_decay": (0, 1)})
TPE = Space({"lr": Range(low=1e-4, high=1e-1), "prompts": (4, 8)}, sampler="tpe", trials=14)


def ask_all(folder: Path, space: Space, stop_after: Optional[int] = None) -> list[dict]:
    """Ask and answer; with ``stop_after``, by a new process's eyes each that many trials."""
    asked: list[dict] = []
    search = Search(folder, space, seed=100)
    while len(asked) < space.count:
        trial = search.ask()
        asked.append(trial.parameters)
        search.tell(trial, 100 * trial.parameters["lr"])
        if stop_after and len(asked) % stop_after == 0:
            search = Search(folder, space, seed=100)
    return asked


def test_a_stopped_search_by_tpe_asks_what_it_would_have(tmp_path: Path) -> None:
    whole = ask_all(tmp_path / "whole", TPE)
    assert len(whole) == 14
    assert len({point["lr"] for point in whole}) == 14
    assert ask_all(tmp_path / "stopped", TPE, stop_after=3) == whole


def test_open_trials_are_still_there_after_their_command_died(tmp_path: Path) -> None:
    first = Search(tmp_path, TPE, 100).ask()
    assert Search(tmp_path, TPE, 100).trials() == [first]
    assert first.score is None


def test_a_command_that_died_while_it_asked_costs_no_trial(tmp_path: Path) -> None:
    whole = ask_all(tmp_path / "whole", TPE)
    search = Search(tmp_path / "died", TPE, 100)
    search._study.ask()  # and died before it drew the parameters
    assert Search(tmp_path / "died", TPE, 100).trials() == []
    assert ask_all(tmp_path / "died", TPE) == whole
    states = [trial.state for trial in search._study.get_trials(deepcopy=False)]
    assert states.count(TrialState.COMPLETE) == TPE.count
    assert TrialState.RUNNING not in states


def test_a_score_told_twice_is_the_first(tmp_path: Path) -> None:
    search = Search(tmp_path, TPE, 100)
    trial = search.ask()
    search.tell(trial, 1.0)
    search.tell(trial, 2.0)
    assert [each.score for each in search.trials()] == [1.0]


def test_values_at_an_end_of_their_grid_are_told() -> None:
    assert GRID.edges({"lr": 0.001, "weight_decay": 1}) == ("lr",)  # of two values, each would be an end
    assert GRID.edges({"lr": 0.01, "weight_decay": 1}) == ()
    assert TPE.edges({"lr": 1e-4, "prompts": 4}) == ()


@pytest.mark.parametrize("end", ["", "\n", '\n{"worker_id"'], ids=["cut off", "a cut line", "another"])
def test_a_damaged_journal_is_named_with_what_to_do(tmp_path: Path, end: str) -> None:
    Search(tmp_path, TPE, 100).ask()
    journal = tmp_path / "optuna.journal"
    journal.write_text(journal.read_text()[:-20] + end)  # a disk that was full
    with pytest.raises(InputError, match=r"optuna\.journal is damaged.*remove that file"):
        Search(tmp_path, TPE, 100).ask()


@pytest.mark.parametrize(
    "content",
    [b"\xff\xfe\n", b"1\n", b"[]\n", b'{"x": 1}\n', b"1" * 5000 + b"\n"],
    ids=lambda content: str(content[:9]),
)
def test_a_file_that_is_no_journal_is_named_with_what_to_do(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "optuna.journal").write_bytes(content)
    with pytest.raises(InputError, match=r"optuna\.journal is damaged.*remove that file"):
        Search(tmp_path, TPE, 100).ask()
