"""The time left: closed cases of the schedule, and whose durations are taken for a run's."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from davpt_seg.benchmark.plan.parts import read
from davpt_seg.benchmark.plan.plan import plan_of
from davpt_seg.benchmark.plan.schema import PlanFile
from davpt_seg.benchmark.plan.study import Study
from davpt_seg.benchmark.run.eta import Durations, InProgress, Stage, eta, schedule
from davpt_seg.runs.log import Position

NOTHING = Stage()


def search(waiting: int, seconds: float, *running: float) -> tuple[Stage, Stage]:
    return Stage(running, waiting, seconds), NOTHING


@pytest.mark.parametrize(
    ("studies", "workers", "seconds"),
    [
        ([], 1, 0),
        ([search(0, 0)], 3, 0),
        ([search(7, 10)], 1, 70),
        ([search(7, 10)], 2, 40),  # not 35: the seventh runs alone
        ([search(7, 10)], 100, 10),
        ([search(0, 0, 25)], 4, 25),
        ([search(1, 10, 25)], 2, 25),  # beside the one in progress
        ([search(3, 10, 25)], 2, 30),
        ([search(1, 10, 5, 25)], 2, 25),
        ([search(2, 10), search(1, 100)], 2, 110),  # in the order of the plan
        ([(Stage((), 2, 10), Stage((), 3, 20))], 2, 10 + 40),  # final runs after the search
        ([(Stage((30,), 0, 10), Stage((), 1, 20))], 2, 50),  # the free worker has to wait
        ([(Stage((30,), 0, 10), Stage((), 1, 20)), search(3, 10)], 2, 50),  # and does other work meanwhile
        ([(NOTHING, Stage((15,), 1, 20))], 1, 35),
        ([(NOTHING, Stage((5, 15), 1, 20))], 1, 25),  # more in progress than workers: others started them
    ],
)
def test_closed_cases(studies: Sequence[tuple[Stage, Stage]], workers: int, seconds: float) -> None:
    assert schedule(studies, workers) == seconds


@pytest.mark.parametrize("workers", [1, 2, 3, 8, 50])
def test_a_schedule_is_between_an_even_share_and_that_and_the_longest_chain(workers: int) -> None:
    studies = [(Stage((), n % 4, 1.0 + n), Stage((), n % 3, 40.0 / (n + 1))) for n in range(12)]
    share = sum(stage.waiting * stage.seconds for study in studies for stage in study) / workers
    chain = max(a.seconds * (a.waiting > 0) + b.seconds * (b.waiting > 0) for a, b in studies)
    found = schedule(studies, workers)
    assert max(share, chain) <= found + 1e-9
    assert found <= share + 3 * chain
    assert workers > 1 or math.isclose(found, share)


@pytest.fixture(scope="module")
def studies() -> list[Study]:
    plan = dict(tasks=["camvid_crop112", "ade20k"], trunks=["vits14"], methods=["linear", "lora"], seeds=2)
    return plan_of(read(PlanFile, plan)).studies  # camvid linear, camvid lora, ade20k linear, ade20k lora


def one(study: Study, stage: str, count: int = 1) -> list[tuple[Study, dict[str, int]]]:
    return [(study, {"search": 0, "final": 0, stage: count})]


def test_a_run_takes_as_long_as_those_that_resemble_it_most(studies: list[Study]) -> None:
    linear, lora, elsewhere, _ = studies
    finished = Durations()
    assert eta(one(lora, "final"), [], finished, 1) is None
    finished.add(linear, "search", 10)
    assert eta(one(lora, "final"), [], finished, 1) == 10  # of all
    finished.add(elsewhere, "final", 70)
    assert eta(one(lora, "final"), [], finished, 1) == 40
    assert eta(one(linear, "final"), [], finished, 1) == 10  # of the study, not of the method elsewhere
    finished.add(linear, "final", 30)
    finished.add(linear, "final", 50)
    assert eta(one(linear, "final"), [], finished, 1) == 40  # of the study and stage
    assert eta(one(linear, "search"), [], finished, 1) == 10
    finished.add(studies[3], "search", 200)
    assert eta(one(lora, "search"), [], finished, 1) == 200  # of the method, on another task


def test_a_run_in_progress_counts_by_its_own_log(studies: list[Study]) -> None:
    linear, lora, _, _ = studies
    finished = Durations()
    finished.add(linear, "search", 10)
    quarter = InProgress(lora, "search", Position(25, 100, eta=300.0, total=400.0), elapsed=100)
    assert eta(one(lora, "search", 0), [quarter], finished, 1) == 300
    assert eta(one(lora, "search"), [quarter], finished, 1) == 300 + 400  # the whole takes 400
    assert eta(one(lora, "search"), [quarter], finished, 2) == 400
    finished.add(lora, "search", 90)
    assert eta(one(lora, "search"), [quarter], finished, 1) == 300 + 90  # one that finished knows better


@pytest.mark.parametrize(("elapsed", "left"), [(0, 10), (4, 6), (50, 0)])
def test_a_run_without_a_log_here_takes_what_others_took(studies: list[Study], elapsed: float, left: float) -> None:
    finished = Durations()
    running = InProgress(studies[0], "search", None, elapsed)
    no_other = one(studies[0], "search", 0)
    assert eta(no_other, [running], finished, 1) is None
    finished.add(studies[0], "search", 10)
    assert eta(no_other, [running], finished, 1) == left
