"""Runs on a Ray cluster: a task each, and the results by value, so that nodes need no common file system."""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, Callable, Optional

import ray

from ... import __version__
from ...errors import InputError
from ...replacing import replacing
from ...runs.execution import PATIENCE
from ...runs.json_files import read_json, write_json
from ...runs.training import Launch, define
from . import node
from .agenda import Job

LOOK = 2.0  # seconds between two looks at logs, and at nodes that joined
RETRIES = 20  # nodes that may die under one run
HEAD = {"node:__internal_head__": 0.001}  # Ray's name for the head node, which outlives the others
CONNECT = 10  # seconds
QUIET: dict[str, Any] = dict(log_to_driver=False, logging_level="ERROR")
ENDING = PATIENCE + 10  # seconds that all runs get to end


class Cluster:
    """A connection to a Ray cluster.

    Args:
        address: ``auto``, ``ray://HOST:PORT``, or ``local:N``, a Ray of N CPUs on this host.
        root: the work dir.
        cpus: number of CPUs of a run.
        gpus: number of GPUs of a run, or the share of one; None is 1 where the cluster has GPUs.
        jobs: largest number of runs at a time; None is what the cluster has room for.
        node_dir: see :class:`~davpt_seg.benchmark.run.node.Place`.

    Raises:
        InputError: it cannot be reached, or has no node with room for a run.
    """

    def __init__(
        self, address: str, root: Path, cpus: int, gpus: Optional[float], jobs: Optional[int], node_dir: Optional[str]
    ) -> None:
        _connect(address)
        try:
            self._cpus = cpus
            self._gpus = float("GPU" in ray.cluster_resources()) if gpus is None else gpus
            self._jobs = jobs
            self._place = node.Place(node_dir, "", os.getcwd())
            self._root = root
            self._running: dict[Any, tuple[Job, IO[bytes]]] = {}
            if not self.capacity():
                raise InputError(
                    f"--cluster {address}: no node has room for a run, which takes {cpus} CPUs and {self._gpus:g} GPUs "
                    f"(--threads, --gpus-per-run); the cluster has {_resources()}"
                )
            self._mailbox: Any = ray.remote(num_cpus=0, resources=HEAD)(node.Mailbox).remote()
        except BaseException:
            self.close()
            raise
        if not self._gpus:
            print("The runs ask the cluster for no GPU: they train on CPUs.", flush=True)

    def close(self) -> None:
        """Disconnect; a Ray of ``local:N`` ends."""
        ray.shutdown()

    @property
    def running(self) -> Sequence[Job]:
        """The runs in progress."""
        return [job for job, _ in self._running.values()]

    def capacity(self) -> int:
        """Count the runs that the nodes have room for at a time."""
        rooms = 0
        for each in ray.nodes():
            if each["Alive"]:
                room = each["Resources"].get("CPU", 0) // self._cpus
                rooms += int(min(room, each["Resources"].get("GPU", 0) // self._gpus) if self._gpus else room)
        return rooms if self._jobs is None else min(rooms, self._jobs)

    def check(self, function: Callable[..., None], *args: Any, **kwargs: Any) -> None:
        """Call a check on a node.

        Raises:
            InputError: what is wrong there.
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
        """Submit a run as a task, which is tried again on another node when its own dies."""
        define(job.training, job.folder)
        here = replace(launch, inherited=())  # the lock of the work dir is this host's
        task = ray.remote(num_cpus=self._cpus, num_gpus=self._gpus, max_retries=RETRIES)(node.train)
        place = node.Place(self._place.node_dir, self._name(), self._place.current)
        reference = task.options(name=job.run.key).remote(job.training, here, place, __version__, self._mailbox)
        self._running[reference] = job, job.attempt.open_log()

    def wait(self) -> Iterator[tuple[Job, str]]:
        """Wait until runs end, and yield how; or for a while.

        Raises:
            InputError: a node cannot run what it was given.
            ConnectionError: the cluster is gone.
        """
        done, _ = ray.wait(list(self._running), timeout=LOOK)
        self._write_logs()
        for reference in done:
            yield from self._end(reference)

    def stop(self) -> Iterator[tuple[Job, str]]:
        """End all runs gracefully, and yield how they ended."""
        with suppress(ConnectionError):  # then nothing can be ended, and Ray does so itself
            for reference in self._running:
                ray.cancel(reference, force=False)
            end = time.monotonic() + ENDING
            while self._running and time.monotonic() < end:
                yield from self.wait()
        for job, log in self._running.values():
            log.close()
            job.attempt.end("stopped")
            yield job, "stopped"
        self._running.clear()

    def _end(self, reference: Any) -> Iterator[tuple[Job, str]]:
        job, log = self._running.pop(reference)
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
            except ray.exceptions.RayError as error:  # too many nodes died, or ours is broken
                log.write(f"{error}\n".encode())
                how = "failed"
            finally:
                job.attempt.end(how)
        yield job, how

    def _write_logs(self) -> None:
        """Write what trainings printed into the logs of the work dir."""
        lines = ray.get(self._mailbox.take.remote())
        for job, log in self._running.values():
            log.write(lines.get(job.run.key, b""))

    def _name(self) -> str:
        """Return the name of the work dir's folder on nodes; one that was removed and made again has another name."""
        file = self._root / "cluster.json"
        name = (read_json(file) or {}).get("name")
        if name is None:
            name = uuid.uuid4().hex
            write_json(file, dict(name=name))
        return str(name)


def _connect(address: str) -> None:
    """Connect to a cluster, or start one.

    Raises:
        InputError: there is none.
    """
    kind, _, number = address.partition(":")
    found = os.environ.pop("RAY_ADDRESS", "")  # which Ray would prefer to what it is given
    try:
        if kind == "local":
            ray.init("local", num_cpus=int(number), include_dashboard=False, **QUIET)
        else:
            where = address if kind == "ray" else found or _last_started()
            host, _, port = where.rpartition("/")[2].rpartition(":")
            with socket.create_connection((host, int(port)), timeout=CONNECT):
                pass  # Ray itself would wait for minutes
            ray.init(where, **QUIET)
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(
            f"--cluster {address}: Ray cannot be reached{f' at {found}' if found else ''}: "
            f"{str(error).splitlines()[0]}. Start it by 'ray start --head' on one host and 'ray start "
            "--address=HOST:6379' on the others; docs/benchmark.md has a file for Slurm"
        ) from None


def _last_started() -> str:
    """Return the address of the Ray that was last started on this host, as Ray writes it down."""
    file = Path(os.environ.get("RAY_TMPDIR", "/tmp"), "ray", "ray_current_cluster")
    if not file.is_file():
        raise ConnectionError("none runs on this host, and RAY_ADDRESS names none")
    return file.read_text().strip()


def _resources() -> str:
    listed = ((name, value) for name, value in ray.cluster_resources().items() if name in ("CPU", "GPU"))
    return ", ".join(f"{value:g} {name}s" for name, value in listed) or "no CPUs"
