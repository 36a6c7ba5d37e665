"""Optuna's part: every point once, whoever asks, and a search that was stopped goes on as it would have."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Optional

import optuna
import pytest
from optuna.trial import TrialState

from davpt_seg.benchmark.search import Search
from davpt_seg.benchmark.space import Range, Space
from davpt_seg.errors import InputError

GRID = Space({"lr": (0.1, 0.01, 0.001), "weight_decay": (0, 1)})
TPE = Space({"lr": Range(1e-4, 1e-1), "prompts": (4, 8)}, sampler="tpe", trials=14)


def ask_all(folder: Path, space: Space, stop_after: Optional[int] = None) -> list[dict]:
    """Ask and answer; with ``stop_after``, by a new process's eyes each that many trials."""
    asked: list[dict] = []
    search = Search(folder, space, seed=100)
    while (trial := search.ask()) is not None:
        asked.append(trial.parameters)
        search.tell(trial, 100 * trial.parameters["lr"])
        if stop_after and len(asked) % stop_after == 0:
            search = Search(folder, space, seed=100)
    return asked


def test_a_grid_is_asked_for_in_order_each_point_once(tmp_path: Path) -> None:
    assert ask_all(tmp_path, GRID, stop_after=4) == GRID.points()
    assert [trial.parameters for trial in Search(tmp_path, GRID, 0).scored()] == GRID.points()


def test_workers_that_ask_at_once_get_different_points(tmp_path: Path) -> None:
    def ask(_: int) -> Optional[tuple]:
        trial = Search(tmp_path, GRID, 100).ask()
        return trial and tuple(trial.parameters.values())

    with ThreadPoolExecutor(8) as threads:
        asked = list(threads.map(ask, range(8)))
    assert sorted(filter(None, asked)) == sorted(tuple(point.values()) for point in GRID.points())
    assert asked.count(None) == 2


def test_a_stopped_search_by_tpe_asks_what_it_would_have(tmp_path: Path) -> None:
    whole = ask_all(tmp_path / "whole", TPE)
    assert len(whole) == 14
    assert len({point["lr"] for point in whole}) == 14
    assert ask_all(tmp_path / "stopped", TPE, stop_after=3) == whole


def test_open_trials_are_still_there_after_their_worker_died(tmp_path: Path) -> None:
    first = Search(tmp_path, GRID, 100).ask()
    assert Search(tmp_path, GRID, 100).open_trials() == [first]
    assert Search(tmp_path, GRID, 100).scored() == []


def test_a_worker_that_died_while_it_asked_costs_no_point(tmp_path: Path) -> None:
    search = Search(tmp_path, GRID, 100)
    search._study.enqueue_trial(GRID.points()[0])  # and died
    search._study.ask()  # another takes it, and dies before it reads the parameters
    search._study.enqueue_trial(GRID.points()[0])  # and yet another
    assert search.open_trials() == []
    assert ask_all(tmp_path, GRID) == GRID.points()
    states = [trial.state for trial in search._study.get_trials(deepcopy=False)]
    assert states.count(TrialState.COMPLETE) == GRID.count
    assert TrialState.WAITING not in states


def test_a_score_told_twice_is_the_first(tmp_path: Path) -> None:
    search = Search(tmp_path, GRID, 100)
    trial = search.ask()
    search.tell(trial, 1.0)
    search.tell(trial, 2.0)
    assert [each.score for each in search.scored()] == [1.0]


def test_values_at_an_end_of_their_grid_are_told() -> None:
    assert GRID.edges({"lr": 0.001, "weight_decay": 1}) == ("lr",)  # of two values, each would be an end
    assert GRID.edges({"lr": 0.01, "weight_decay": 1}) == ()
    assert TPE.edges({"lr": 1e-4, "prompts": 4}) == ()


@pytest.mark.parametrize("end", ["", "\n", '\n{"worker_id"'], ids=["cut off", "a cut line", "another"])
def test_a_damaged_journal_is_named_with_what_to_do(tmp_path: Path, end: str) -> None:
    Search(tmp_path, GRID, 100).ask()
    journal = tmp_path / "optuna.journal"
    journal.write_text(journal.read_text()[:-20] + end)  # a disk that was full
    with pytest.raises(InputError, match=r"optuna\.journal is damaged.*remove that file"):
        Search(tmp_path, GRID, 100).ask()


def test_a_trial_that_another_worker_finishes_meanwhile_keeps_its_score(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = Search(tmp_path, GRID, 0), Search(tmp_path, GRID, 0)
    trial = first.ask()
    assert trial is not None and second.open_trials() == [trial]
    look = optuna.Study.tell

    def beaten(study: optuna.Study, number: int, *arguments: float, **options: bool) -> None:
        look(first._study, number, *arguments)  # after our look at the trial, before our write
        study._storage.set_trial_state_values(study.trials[number]._trial_id, TrialState.COMPLETE, [0.0])

    with monkeypatch.context() as patched:
        patched.setattr(optuna.Study, "tell", beaten)
        second.tell(trial, 70.0)
    assert [each.score for each in second.scored()] == [70.0]
