"""A plan on a Ray cluster of two nodes, each with a disk: one dies, the driver too, and the tables stay the same."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from davpt_seg.errors import DIVERGED, InputError
from davpt_seg.runs import execution
from davpt_seg.runs.attempts import last_attempt, next_attempt
from davpt_seg.runs.lock import holders
from davpt_seg.runs.training import Launch, Training

from ..recognition import write_vtab
from .conftest import FAKE, SMALL, Bench, wait_until
from .fake_train import EPOCHS

ONE = ("--tasks", "vtab/dtd", "--trunks", "vitb_in21k", "--methods", "linear", *SMALL[-4:])  # two trials, two seeds
RUNS = 4
FINAL = ("--tasks", "vtab/dtd", "--trunks", "vits14", "--methods", "bias", "--seeds", "1", "--set", "lr=0.002")
TINY = [
    "model.backbone.model_name=vit_tiny_patch16_224",
    "model.backbone.weights=None",
    "model.backbone.timm_kwargs.img_size=16",
    "model.backbone.timm_kwargs.patch_size=8",
    "model.backbone.timm_kwargs.embed_dim=16",
    "model.backbone.timm_kwargs.num_heads=2",
    "model.head.in_channels=16",
    "train_dataloader.num_workers=0",
]


class Nodes:
    """A Ray cluster on loopback: a head without CPUs, and two nodes with one CPU each."""

    def __init__(self, folder: Path) -> None:
        from ray.cluster_utils import Cluster

        self.folder = folder
        self.port = free_port()  # far from 23000 to 23999, from which Ray starts a server for each of its clients
        head = dict(num_cpus=0, include_dashboard=False, ray_client_server_port=self.port)
        self.cluster = Cluster(initialize_head=True, head_node_args=head)
        self.nodes = [self.add("a"), self.add("b")]

    def add(self, name: str) -> Any:
        """Start a node that claims two GPUs; its disk is a folder, and so are its data, whichever test starts it."""
        places = dict(XDG_CACHE_HOME=str(self.folder / name), VTAB_ROOT=str(self.folder / "vtab"))
        return self.cluster.add_node(num_cpus=1, num_gpus=2, env_vars=dict(places, NODE=name))

    def remove(self, name: str) -> None:
        """Kill a node with its trainings, as a power cut does."""
        for path in (self.folder / name).rglob("attempts/00?.json"):
            for process in holders(path.with_suffix(".log")):
                os.kill(process, signal.SIGKILL)
        self.cluster.remove_node(self.nodes["ab".index(name)], allow_graceful=False)

    def start(
        self, bench: Bench, *arguments: str, cluster: str = "auto", what: tuple[str, ...] = ONE, **options: Any
    ) -> Any:
        """Start a driver; what it prints goes to ``said.txt``."""
        command = [sys.executable, "-m", "davpt_seg", "benchmark", *bench.arguments("w", what=what), *arguments]
        with open(bench.folder / "said.txt", "ab") as said:
            driver = subprocess.Popen(
                [*command, "--cluster", cluster],
                stdout=said,
                stderr=subprocess.STDOUT,
                env={**os.environ, "RAY_ADDRESS": self.cluster.address if cluster == "auto" else ""},
                **options,
            )
        DRIVERS.append(driver)
        return driver


DRIVERS: list[Any] = []  # of the current test


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    folder = tmp_path_factory.mktemp("nodes")
    for task in ("dtd", "svhn"):
        (folder / "vtab" / task).mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_worker_niceness", "0")  # on a busy machine, 15 takes minutes
        patch.setenv("RAY_AUTH_MODE", "token")  # else Ray looks for one in ~/.ray, or writes it
        patch.setenv("RAY_AUTH_TOKEN", "0123456789abcdef" * 4)
        patch.setenv("VTAB_ROOT", str(folder / "vtab"))
        pytest.importorskip("ray")  # it reads its variables when it is imported
        made = Nodes(folder)
        try:
            yield made
        finally:
            made.cluster.shutdown()


@pytest.fixture
def bench(bench: Bench) -> Iterator[Bench]:
    bench.command = f"env FAKE_DIARY={bench.diary} FAKE_SECONDS=0.4 {sys.executable} -S {FAKE}"
    yield bench
    while DRIVERS:
        DRIVERS.pop().kill()


def said(bench: Bench) -> str:
    return (bench.folder / "said.txt").read_text()


def wait_for(driver: Any, bench: Bench, true: Callable[[], bool]) -> None:
    """Wait until something is true while a driver runs; a driver that has ended is not waited for."""
    with suppress(AssertionError):
        wait_until(lambda: true() or driver.poll() is not None, 180)
    assert true(), f"waited in vain; the driver's exit status is {driver.poll()}, and it said\n{said(bench)}"


def results(bench: Bench) -> list[Path]:
    return sorted((bench.folder / "w").rglob("result.json"))


def test_a_plan_whose_node_and_driver_die_ends_with_the_tables_of_one_machine(bench: Bench, nodes: Nodes) -> None:
    assert bench.run("whole", what=ONE) == 0
    bench.diary.unlink()
    driver = nodes.start(bench)
    wait_for(driver, bench, lambda: all(list((nodes.folder / each).rglob("last_checkpoint")) for each in "ab"))
    nodes.remove("b")
    wait_for(driver, bench, lambda: results(bench) != [])
    driver.kill()
    driver.wait()
    finished = [path.parent for path in results(bench)]
    before = len(bench.started())
    assert len(finished) < RUNS
    nodes.nodes[1] = nodes.add("b")
    assert nodes.start(bench).wait(120) == 0, said(bench)
    assert bench.table("w") == bench.table("whole")
    assert len(results(bench)) == RUNS
    assert len(bench.started()) - before <= RUNS - len(finished)  # what was finished was not run again
    assert "FAILED" not in said(bench)
    whole = bench.folder / "whole"
    for path in results(bench):
        there = whole / path.relative_to(bench.folder / "w")
        mine, local = json.loads(path.read_text()), json.loads(there.read_text())
        kept = mine.pop("checkpoint", None)
        assert {**mine, "seconds": 0} == {**local, "seconds": 0}
        assert (kept is not None) == bool(list(there.parent.glob("*.pth")))  # it stays on the node that trained
        assert kept is None or Path(kept.partition(":")[2]).is_file()
    log = last_attempt(bench.folder / "w/vtab/dtd/vitb_in21k/linear/final/seed=1").log.read_text()
    assert log.startswith("davpt-seg: on ") and log.count("Epoch(train)") == EPOCHS
    assert not list((bench.folder / "w").rglob("*.pth"))


@pytest.mark.parametrize(("of_a_run", "runs"), [(1, 2), pytest.param(2, 1, marks=pytest.mark.nodes)])
def test_ctrl_c_ends_the_trainings_of_a_cluster_and_the_next_driver_resumes_them(
    bench: Bench, nodes: Nodes, of_a_run: int, runs: int
) -> None:
    bench.command = bench.command.replace("SECONDS=0.4", "SECONDS=60")
    driver = nodes.start(
        bench, "--nodes", str(of_a_run), "--gpus-per-run", "0", cluster=f"ray://127.0.0.1:{nodes.port}"
    )
    wait_for(driver, bench, lambda: len(bench.started()) >= 2)
    first = bench.folder / "w/vtab/dtd/vitb_in21k/linear/search/lr=0.001"
    wait_for(driver, bench, lambda: last_attempt(first).log.read_text() != "")  # what is printed arrives meanwhile
    assert last_attempt(first).state() == "running"
    driver.send_signal(signal.SIGINT)
    assert driver.wait(180) == 130, said(bench)
    assert said(bench).count(": stopped; ") == runs
    names = [json.loads(path.read_text())["name"] for path in (bench.folder / "w").rglob("cluster.json")]
    attempts = [path for name in names for path in nodes.folder.rglob(f"{name}/**/attempts/00?.json")]
    trainings = [last_attempt(path.parent.parent) for path in attempts]
    there = [each for each in trainings if each.ended == "stopped"]
    assert len(there) == 2
    for each in there:
        with pytest.raises(ProcessLookupError):
            os.kill(each.pid, 0)
    assert last_attempt(first).state() == "stopped"


def test_a_run_whose_folder_was_removed_is_trained_again(bench: Bench, nodes: Nodes) -> None:
    disk = ("--node-dir", str(bench.folder / "disk"))  # of both nodes
    assert nodes.start(bench, *disk, what=FINAL).wait(180) == 0, said(bench)
    (found,) = results(bench)
    shutil.rmtree(found.parent)
    assert nodes.start(bench, *disk, what=FINAL).wait(180) == 0, said(bench)
    assert results(bench) == [found] and len(bench.started()) == 2


@pytest.mark.slow
def test_a_run_on_several_gpus_is_started_by_torchrun(bench: Bench, nodes: Nodes) -> None:
    bench.command = f"env FAKE_DIARY={bench.diary} {sys.executable} -S {FAKE}"
    assert nodes.start(bench, "--gpus-per-run", "2", what=FINAL).wait(120) == 0, said(bench)
    assert [line.rpartition(" ")[2] for line in bench.started()] == 2 * ["gpu=0,1"]
    assert len(results(bench)) == 1


@pytest.mark.nodes
def test_a_run_on_two_nodes_has_one_result_though_either_of_them_dies(bench: Bench, nodes: Nodes) -> None:
    bench.command = bench.command.replace("SECONDS=0.4", "SECONDS=2")
    driver = nodes.start(bench, "--nodes", "2", "--gpus-per-run", "4", what=FINAL)
    attempts = bench.folder / "w/vtab/dtd/vits14/bias/final/seed=0/attempts"
    first, second = attempts / "001.log", attempts / "001.log.node1"

    def begun() -> list[str]:
        """Folder of the first node, of each beginning."""
        return re.findall("davpt-seg: on .*, in (.*)", first.read_text()) if first.is_file() else []

    for number, victim in enumerate(("second", "first")):
        wait_for(driver, bench, lambda count=4 * (number + 1): len(bench.started()) >= count)
        name = "b" if Path(begun()[-1]).is_relative_to(nodes.folder / "b") == (victim == "first") else "a"
        nodes.remove(name)
        nodes.nodes["ab".index(name)] = nodes.add(name)
        assert driver.poll() is None
    assert driver.wait(240) == 0, said(bench)
    assert len(begun()) == 3 and first.read_text().count("another node of this run is lost") == 1
    assert [line.rpartition(" ")[2] for line in bench.started()] == 3 * 4 * ["gpu=0,1"]
    ranks = [set(re.findall(r"process (\d) of 4", log.read_text())) for log in (first, second)]
    assert ranks == [{"0", "1"}, {"2", "3"}]
    assert "Epoch(train)" in first.read_text() and "Epoch(train)" not in second.read_text()
    assert "FAILED" not in said(bench) and not list(attempts.glob("002*"))
    assert [path.parent for path in results(bench)] == [attempts.parent]


@pytest.mark.nodes
def test_a_real_training_on_two_nodes_gathers_its_predictions_without_files(bench: Bench, nodes: Nodes) -> None:
    write_vtab(nodes.folder / "vtab", "dmlab", train=12, val=6, test=18)
    common = dict(epochs=1, image_size=56, batch_size=3, lr=0.02, prompts=2, guided_prompts=2)
    plan = dict(tasks=["vtab/dmlab"], trunks=["vits14"], methods=["davpt"], seeds=1, common=common, cfg_options=TINY)
    (bench.folder / "plan.yaml").write_text(json.dumps(plan))
    bench.command = f"{sys.executable} -m davpt_seg train"
    arguments = ("--nodes", "2", "--gpus-per-run", "0")
    driver = nodes.start(bench, *arguments, what=(str(bench.folder / "plan.yaml"),), cwd=bench.folder)
    assert driver.wait(400) == 0, said(bench)
    (found,) = results(bench)
    scores = json.loads((found.parent / "scores.json").read_text())
    assert scores["about"]["batch_size"] == 6 and scores["about"]["images"] == 18
    assert scores["accuracy/top1"] * 18 / 100 == pytest.approx(round(scores["accuracy/top1"] * 18 / 100), abs=1e-3)
    assert "GPU number: 2" in last_attempt(found.parent).log.read_text()
    assert not (bench.folder / ".dist_test").exists()


def test_a_run_on_more_nodes_than_there_are_is_refused_in_one_line(bench: Bench, nodes: Nodes) -> None:
    assert nodes.start(bench, "--nodes", "3", "--gpus-per-run", "0").wait(180) == 2
    message = "--nodes 3, but 2 have room for a run, which takes 1 CPUs and 0 GPUs of each"
    assert message in said(bench).splitlines()[-1]


def test_what_a_node_lacks_is_said_before_the_first_run(bench: Bench, nodes: Nodes) -> None:
    (bench.folder / "vtab" / "cifar").mkdir()  # on the driver's disk alone
    assert nodes.start(bench, what=("--tasks", "vtab/cifar", *FINAL[2:])).wait(180) == 2
    assert "on node" in said(bench) and "no data of vtab/cifar" in said(bench)
    assert not (bench.folder / "w").exists()


def test_a_run_that_no_node_has_room_for_is_refused(bench: Bench, nodes: Nodes) -> None:
    assert nodes.start(bench, "--gpus-per-run", "3").wait(180) == 2
    assert "no node has room for a run, which takes 1 CPUs and 3 GPUs" in said(bench)


def test_another_version_on_a_node_is_refused() -> None:
    node = pytest.importorskip("davpt_seg.benchmark.run.node")
    outcome = node.train(None, None, None, "0.0.1", None)
    assert "install the same version on both" in outcome.error


def test_without_ray_a_cluster_is_refused_in_one_line(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "davpt_seg.benchmark.run.cluster", raising=False)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SystemExit, match="2"):
        bench.run("w", "--cluster", "local:2")
    assert capsys.readouterr().err.splitlines()[-1].endswith("--cluster needs Ray: pip install 'ray[client]>=2.52'")


def test_a_cluster_that_is_not_there_is_named(bench: Bench) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "davpt_seg", "benchmark", *bench.arguments("w", "--cluster", "auto")],
        env={**os.environ, "RAY_ADDRESS": "127.0.0.1:1"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert "--cluster auto: Ray cannot be reached" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_local_ray_starts_and_ends_with_the_command(bench: Bench) -> None:
    assert bench.run("whole", what=FINAL) == 0
    command = [
        sys.executable,
        "-m",
        "davpt_seg",
        "benchmark",
        *bench.arguments("w", "--cluster", "local:1", what=FINAL),
    ]
    subprocess.run(command, check=True, env={**os.environ, "XDG_CACHE_HOME": str(bench.folder / "cache")})
    assert bench.table("w") == bench.table("whole")


SRUN = """#!/usr/bin/env bash
while [[ $1 == --* ]]; do shift; done
for node in 0 1; do SLURM_NODEID=$node "$@" & done
wait
"""


@pytest.mark.slow
def test_the_file_for_slurm_runs_a_plan_on_all_nodes_of_a_job(bench: Bench) -> None:
    assert bench.run("whole", what=FINAL) == 0
    srun = bench.folder / "bin" / "srun"
    srun.parent.mkdir()
    srun.write_text(SRUN)
    srun.chmod(0o755)
    job = str(os.getpid() + 5000)  # a port other than the cluster's
    environment = dict(
        PATH=f"{srun.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        **dict(SLURM_JOB_ID=job, SLURM_JOB_NUM_NODES="2", SLURM_CPUS_PER_TASK="1"),
        XDG_CACHE_HOME=str(bench.folder / "cache"),
    )
    script = Path(__file__).parents[2] / "tools" / "slurm_benchmark.sh"
    with open(bench.folder / "said.txt", "wb") as file:
        process = subprocess.Popen(
            [script, *bench.arguments("w", what=FINAL)],
            env={**os.environ, **environment},
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        assert process.wait(120) == 0, said(bench)
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # as Slurm does at a job's end
        shutil.rmtree(f"/tmp/ray-{os.getuid()}-{job}")
    assert bench.table("w") == bench.table("whole")


def test_the_file_for_slurm_explains_itself() -> None:
    script = Path(__file__).parents[2] / "tools" / "slurm_benchmark.sh"
    done = subprocess.run([script], capture_output=True, text=True, env={"PATH": os.environ["PATH"]})
    assert done.returncode == 2
    assert "sbatch --partition=gpu --nodes=4 --gres=gpu:4" in done.stderr


def test_a_node_that_cannot_check_the_plan_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from davpt_seg.benchmark.run import cluster

    def get(reference: object) -> None:
        raise cluster.ray.exceptions.RaySystemError("Traceback ...\nModuleNotFoundError: No module named 'davpt_seg'")

    monkeypatch.setattr(cluster.ray, "remote", lambda **_: lambda function: mock.MagicMock())
    monkeypatch.setattr(cluster.ray, "get", get)
    made = mock.MagicMock(_cpus=1, _gpus=0)
    with pytest.raises(InputError, match="cannot check the plan: ModuleNotFoundError: No module named 'davpt_seg'"):
        cluster.Cluster.check(made, print)


@pytest.mark.parametrize(
    ("rooms", "nodes", "runs"), [([4, 1], 1, 5), ([4, 1], 2, 1), ([3, 2, 1], 2, 3), ([5, 5, 5], 2, 7), ([9], 2, 0)]
)
def test_runs_that_fit_are_counted_with_each_of_their_nodes_another(rooms: list[int], nodes: int, runs: int) -> None:
    from davpt_seg.benchmark.run.cluster import Cluster

    assert Cluster.capacity(mock.MagicMock(_nodes=nodes, _jobs=None, _rooms=lambda: rooms)) == runs


@pytest.mark.parametrize(("share", "runs"), [(0.1, 10), (0.2, 5), (0.25, 4), (1 / 3, 3), (0.5, 2), (1, 1), (2, 0)])
def test_as_many_runs_share_a_gpu_as_their_shares_allow(
    monkeypatch: pytest.MonkeyPatch, share: float, runs: int
) -> None:
    from davpt_seg.benchmark.run import cluster

    host = dict(Alive=True, Resources=dict(CPU=32.0, GPU=1.0))
    monkeypatch.setattr(cluster.ray, "nodes", lambda: [host])
    assert sum(cluster.Cluster._rooms(mock.MagicMock(_cpus=1, _gpus=share))) == runs


def test_a_further_node_of_a_diverged_run_has_not_failed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from davpt_seg.benchmark.run import together
    from davpt_seg.benchmark.run.node import Outcome

    exits = {0: "finished", 1: "failed", DIVERGED: "diverged"}
    training = Training("k", "w", (), 0, "search", "accuracy/top1", {}, keep=False)
    for status, how in exits.items():
        launch = Launch(program=(sys.executable, "-S", "-c", f"raise SystemExit({status})"))
        assert execution.assist(training, tmp_path, next_attempt(tmp_path), launch, lambda: False) == how
        assert last_attempt(tmp_path).ended == how
        monkeypatch.setattr(together.ray, "wait", lambda tasks, timeout: (tasks, []))
        monkeypatch.setattr(together.ray, "get", lambda task, how=how: Outcome(how, "host", {}))
        assert together.Helpers([object()]).lost() == (how == "failed")


@pytest.mark.parametrize("failures", [2, 3])
def test_a_ray_that_answers_late_is_asked_again(monkeypatch: pytest.MonkeyPatch, failures: int) -> None:
    from davpt_seg.benchmark.run import cluster

    late = ConnectionAbortedError("Initialization failure from server:\nRuntimeError: no backend")
    init = mock.Mock(side_effect=[late] * failures + [None])
    monkeypatch.setattr(cluster.ray, "init", init)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"ray://127.0.0.1:{server.getsockname()[1]}"
        if failures < cluster.TRIES:
            cluster._connect(address)
        else:
            with pytest.raises(InputError, match="failure from server: RuntimeError: no backend"):
                cluster._connect(address)
    assert init.call_count == 3


def test_a_damaged_name_of_the_nodes_folder_is_made_again(tmp_path: Path) -> None:
    from davpt_seg.benchmark.run import cluster

    (tmp_path / "cluster.json").write_text('{"x": 1}')
    assert len(cluster._name(tmp_path)) == 32
    assert cluster._name(tmp_path) == json.loads((tmp_path / "cluster.json").read_text())["name"]


def test_runs_of_a_local_ray_have_the_priority_of_the_command() -> None:
    code = """
import os
from davpt_seg.benchmark.options import parser
from davpt_seg.benchmark.run.where import engine_of
engine = engine_of(parser().parse_args(["vtab", "--cluster", "local:1"]))
import ray
print("nice", os.nice(0), ray.get(ray.remote(lambda: os.nice(0)).remote()))
engine.close()
"""
    environment = {name: value for name, value in os.environ.items() if name != "RAY_worker_niceness"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=180)
    said = next((line.split() for line in done.stdout.splitlines() if line.startswith("nice")), [])
    assert said[1:] and said[1] == said[2], done.stdout + done.stderr
