"""Runs on a Ray cluster: one task each, with results by value, so that nodes need no common file system."""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, Callable, NamedTuple, Optional

import ray
from ray.util.placement_group import placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from ... import __version__
from ...errors import InputError
from ...replacing import replacing
from ...runs.execution import PATIENCE
from ...runs.json_files import read_json, write_json
from ...runs.training import Launch, define
from . import node, together
from .agenda import Job

LOOK = 2.0  # seconds between two looks at logs, and at nodes that joined
HEAD = {"node:__internal_head__": 0.001}  # Ray's name for the head node, which outlives the others
CONNECT = 10  # seconds
TRIES = 3  # a Ray Client's server has 30 s to start, which may be too short on a busy host
QUIET: dict[str, Any] = dict(log_to_driver=False, logging_level="ERROR")
ENDING = PATIENCE + 10  # seconds in which all runs must end


class _Task(NamedTuple):
    """Run in progress: its log, and the placement group of a run on several nodes."""

    job: Job
    log: IO[bytes]
    group: Any = None


class Cluster:
    """Connection to a Ray cluster.

    Args:
        address: ``auto``, ``ray://HOST:PORT``, or ``local:N``, a Ray of N CPUs on this host.
        nodes: number of nodes of a run.
        cpus: number of CPUs of a run on each of its nodes.
        gpus: number of GPUs of a run on each node, or the share of one; None is 1 if the cluster has GPUs.
        jobs: largest number of runs at a time; None is the number that fits into the cluster.
        node_dir: see :class:`~davpt_seg.benchmark.run.node.Place`.

    Raises:
        InputError: the cluster cannot be reached, or no node has room for a run.
    """

    def __init__(
        self,
        address: str,
        nodes: int,
        cpus: int,
        gpus: Optional[float],
        jobs: Optional[int],
        node_dir: Optional[str],
    ) -> None:
        _connect(address)
        try:
            self._nodes = nodes
            self._cpus = cpus
            self._gpus = float("GPU" in ray.cluster_resources()) if gpus is None else gpus
            self._jobs = jobs
            self._place = node.Place(node_dir, "", os.getcwd())
            self._running: dict[Any, _Task] = {}
            with_room = len(self._rooms())
            if with_room < nodes:
                where = "no node has" if nodes == 1 else f"--nodes {nodes}, but {with_room} have"
                raise InputError(
                    f"--cluster {address}: {where} room for a run, which takes {cpus} CPUs and {self._gpus:g} GPUs"
                    f"{' of each' if nodes > 1 else ''} (--threads, --gpus-per-run); the cluster has {_resources()}"
                )
            self._mailbox: Any = ray.remote(num_cpus=0, resources=HEAD)(node.Mailbox).remote()
        except BaseException:
            self.close()
            raise
        if not self._gpus:
            print("The runs ask the cluster for no GPU: they train on CPUs.", flush=True)

    def close(self) -> None:
        """Disconnect; a Ray of ``local:N`` is stopped."""
        ray.shutdown()

    @property
    def running(self) -> Sequence[Job]:
        """Return the runs in progress."""
        return [task.job for task in self._running.values()]

    def capacity(self) -> int:
        """Return how many runs fit on the nodes at a time."""
        rooms, runs = self._rooms(), 0
        while sum(min(room, runs + 1) for room in rooms) >= self._nodes * (runs + 1):  # a run's nodes differ
            runs += 1
        return runs if self._jobs is None else min(runs, self._jobs)

    def _rooms(self) -> list[int]:
        """Return how many runs fit on each node, without nodes where none fits."""
        alive = (each["Resources"] for each in ray.nodes() if each["Alive"])
        cpus = ((has, has.get("CPU", 0) // self._cpus) for has in alive)
        # 1 / 0.2 is 5, but 1 // 0.2 is 4.
        rooms = [min(room, has.get("GPU", 0) / self._gpus + 1e-9) if self._gpus else room for has, room in cpus]
        return [int(room) for room in rooms if room >= 1]

    def check(self, function: Callable[..., None], *args: Any, **kwargs: Any) -> None:
        """Call a check on a node.

        Raises:
            InputError: the check failed.
        """
        task = ray.remote(num_cpus=self._cpus, num_gpus=self._gpus)(node.check)
        try:
            problem = ray.get(task.remote(function, self._place, *args, **kwargs))
        except ray.exceptions.RayError as error:  # such as a node without davpt_seg
            problem = f"a node of the cluster cannot check the plan: {str(error).splitlines()[-1]}"
        if problem is not None:
            raise InputError(problem)

    def free(self) -> bool:
        """Return whether another run can start."""
        return len(self._running) < max(self.capacity(), 1)

    def start(self, job: Job, launch: Launch) -> None:
        """Submit a run as a task, which is retried on another node when its node dies."""
        define(job.training, job.folder)
        here = replace(launch, inherited=())  # the lock of the work dir is this host's
        place = node.Place(self._place.node_dir, _name(job.folder), self._place.current)
        given = (job.training, here, place, __version__, self._mailbox)
        room: dict[str, Any] = dict(num_cpus=self._cpus, num_gpus=self._gpus, max_retries=node.RETRIES)
        if self._nodes == 1:
            group, task = None, ray.remote(**room)(node.train).options(name=job.run.key).remote(*given)
        else:
            bundle = {"CPU": self._cpus, **({"GPU": self._gpus} if self._gpus else {})}
            group = placement_group([bundle] * self._nodes, strategy="STRICT_SPREAD")
            first = PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=0)
            remote = ray.remote(**room, scheduling_strategy=first)(together.train_together)
            task = remote.options(name=job.run.key).remote(*given, self._nodes)
        self._running[task] = _Task(job, job.attempt.open_log(), group)

    def wait(self) -> Iterator[tuple[Job, str]]:
        """Wait until runs end, or for a while, and yield how they ended.

        Raises:
            InputError: a node cannot run its task.
            ConnectionError: the connection to the cluster is lost.
        """
        done, _ = ray.wait(list(self._running), timeout=LOOK)
        self._write_logs()
        for reference in done:
            yield from self._end(reference)

    def stop(self) -> Iterator[tuple[Job, str]]:
        """End all runs gracefully, and yield how they ended."""
        with suppress(ConnectionError):  # then Ray itself ends all tasks
            for reference in self._running:
                ray.cancel(reference, force=False)
            end = time.monotonic() + ENDING
            while self._running and time.monotonic() < end:
                yield from self.wait()
        for job, log, _ in self._running.values():
            log.close()
            job.attempt.end("stopped")
            yield job, "stopped"
        self._running.clear()

    def _end(self, reference: Any) -> Iterator[tuple[Job, str]]:
        job, log, group = self._running.pop(reference)
        how = "stopped"
        with log:
            try:
                outcome = ray.get(reference)
                if outcome.error is not None:
                    raise InputError(outcome.error)
                how, job.attempt.host = outcome.how, outcome.host
                # result.json is the last one, since a run is done when it is there
                for name in sorted(outcome.files, key=lambda name: name == "result.json"):
                    with replacing(job.folder / name, durable=True) as part:
                        part.write_bytes(outcome.files[name])
            except ray.exceptions.TaskCancelledError:
                pass  # by stop()
            except ray.exceptions.RayError as error:  # too many nodes died, or our code has an error
                log.write(f"{error}\n".encode())
                how = "failed"
            finally:
                job.attempt.end(how)
                if group is not None:
                    remove_placement_group(group)
        yield job, how

    def _write_logs(self) -> None:
        """Write the output of trainings into the logs of the work dir; further nodes of a run have separate logs."""
        tasks = {task.job.run.key: task for task in self._running.values()}
        for (key, number), lines in ray.get(self._mailbox.take.remote()).items():
            if (task := tasks.get(key)) is None:  # it has ended
                continue
            if number == 0:
                task.log.write(lines)
            else:
                with open(f"{task.job.attempt.log}.node{number}", "ab") as log:
                    log.write(lines)


def _name(folder: Path) -> str:
    """Return the name of a run's folder on nodes, which changes if the run's folder in the work dir is removed."""
    file = folder / "cluster.json"
    name = (read_json(file) or {}).get("name")
    if name is None:
        name = uuid.uuid4().hex
        write_json(file, dict(name=name))
    return str(name)


def _connect(address: str) -> None:
    """Connect to a cluster, or start one.

    Raises:
        InputError: the cluster cannot be reached or started.
    """
    kind, _, number = address.partition(":")
    found = os.environ.pop("RAY_ADDRESS", "")  # Ray would prefer it to its argument
    try:
        if kind == "local":
            ray.init("local", num_cpus=int(number), include_dashboard=False, **QUIET)
        else:
            _join(address if kind == "ray" else found or _last_started())
    except (OSError, RuntimeError, ValueError) as error:
        first, *others = str(error).splitlines()
        raise InputError(
            f"--cluster {address}: Ray cannot be reached{f' at {found}' if found else ''}: "
            f"{' '.join([first, *others[-1:]])}. Start it by 'ray start --head' on one host and 'ray start "
            "--address=HOST:6379' on the others; docs/benchmark.md has a file for Slurm"
        ) from None


def _join(address: str) -> None:
    """Connect to a running Ray, with retries if it answers late.

    Raises:
        OSError, RuntimeError, ValueError: Ray cannot be reached.
    """
    host, _, port = address.rpartition("/")[2].rpartition(":")
    with socket.create_connection((host, int(port)), timeout=CONNECT):
        pass  # Ray itself would wait for minutes
    for _ in range(TRIES - 1):
        with suppress(ConnectionError):
            ray.init(address, **QUIET)
            return
    ray.init(address, **QUIET)


def _last_started() -> str:
    """Return the address that Ray recorded when it was last started on this host."""
    file = Path(os.environ.get("RAY_TMPDIR", "/tmp"), "ray", "ray_current_cluster")
    if not file.is_file():
        raise ConnectionError("none runs on this host, and RAY_ADDRESS names none")
    return file.read_text().strip()


def _resources() -> str:
    listed = ((name, value) for name, value in ray.cluster_resources().items() if name in ("CPU", "GPU"))
    return ", ".join(f"{value:g} {name}s" for name, value in listed) or "no CPUs"
