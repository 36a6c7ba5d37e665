"""A run that dies while it writes keeps a whole checkpoint."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS
from mmengine.runner import ValLoop

from davpt_seg.engine import AtomicCheckpointHook, atomic_files
from davpt_seg.engine.atomic_files import AtomicLocalBackend, remove_unfinished
from davpt_seg.errors import DivergedError
from davpt_seg.training.resume import checkpoint_to_resume

from ..training import by_iterations, tiny_camvid, train

needs_fork = pytest.mark.skipif(torch.cuda.is_available(), reason="forks; hide the GPU with CUDA_VISIBLE_DEVICES=''")


@METRICS.register_module()
class Iterations(BaseMetric):
    """A score that grows from validation to validation of a process."""

    count = 0

    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results.append(0)

    def compute_metrics(self, results: list[int]) -> dict[str, float]:
        Iterations.count += 1
        return dict(progress=float(Iterations.count))


def saving_every_two(data: Path, work_dir: Path) -> Config:
    """Six iterations, of whose checkpoints only the newest is kept."""
    cfg = by_iterations(tiny_camvid(data, work_dir), 6)
    cfg.default_hooks.checkpoint.update(interval=2, max_keep_ckpts=1, save_best=None)
    return cfg


def train_and_hang_in_a_write(cfg: Config, file: str) -> None:
    """Write half of a file and then wait for ever."""

    class Slow:
        def __init__(self, path: Any, mode: str) -> None:
            self.path, self.file = Path(path), open(path, mode)  # noqa: SIM115

        def __enter__(self) -> Slow:
            return self

        def __exit__(self, *error: Any) -> None:
            self.file.close()

        def write(self, data: bytes) -> None:
            if not self.path.name.startswith(file):
                self.file.write(data)
                return
            self.file.write(data[: len(data) // 2])
            self.file.flush()
            Path(cfg.work_dir, "hanging").touch()
            time.sleep(300)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.file, name)

    atomic_files.open = Slow  # type: ignore[attr-defined]
    train(cfg)


def kill_while_it_writes(cfg: Config, file: str) -> None:
    child = multiprocessing.get_context("fork").Process(target=train_and_hang_in_a_write, args=(cfg, file))
    child.start()
    hanging, deadline = Path(cfg.work_dir, "hanging"), time.monotonic() + 120
    while not hanging.exists():
        assert child.is_alive() and time.monotonic() < deadline, f"the child never wrote {file}"
        time.sleep(0.05)
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    assert child.exitcode == -signal.SIGKILL


@needs_fork
def test_a_run_killed_in_mid_write_resumes_from_the_checkpoint_before_and_ends_as_the_whole_run(
    camvid: Path, tmp_path: Path
) -> None:
    train(saving_every_two(camvid, tmp_path / "whole"))
    cfg = saving_every_two(camvid, tmp_path / "killed")
    kill_while_it_writes(cfg, "iter_4.pth")
    left = {path.name for path in Path(cfg.work_dir).glob("iter_*")}
    assert left == {"iter_2.pth", "iter_4.pth.unfinished"}  # although one is kept, the older waited for the newer

    cfg = saving_every_two(camvid, tmp_path / "killed")
    cfg.update(resume=True, load_from=checkpoint_to_resume(cfg.work_dir))
    assert Path(cfg.load_from).name == "iter_2.pth"
    runner = train(cfg)
    log = next(Path(runner.log_dir).glob("*.log")).read_text()
    assert "iter_4.pth.unfinished: a run was killed while it wrote it" in log
    assert {path.name for path in Path(cfg.work_dir).glob("iter_*")} == {"iter_6.pth"}
    whole, resumed = (torch.load(tmp_path / name / "iter_6.pth")["state_dict"] for name in ("whole", "killed"))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


@pytest.mark.parametrize("killed_in", [1, 2])
def test_a_run_killed_during_a_validation_validates_when_it_is_resumed(
    killed_in: int, camvid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def config(name: str) -> Config:
        cfg = by_iterations(tiny_camvid(camvid, tmp_path / name), 4)
        cfg.train_cfg.val_interval = 2
        cfg.default_hooks.checkpoint.update(interval=2, max_keep_ckpts=1, save_best="mIoU")
        return cfg

    def run_or_die(loop: ValLoop) -> dict[str, float]:
        validations.append(1)
        if len(validations) == killed_in:
            raise KeyboardInterrupt
        return validate(loop)

    train(config("whole"))
    validate, validations = ValLoop.run, []
    with monkeypatch.context() as patched:
        patched.setattr(ValLoop, "run", run_or_die)
        with pytest.raises(KeyboardInterrupt):
            train(config("killed"))
    cfg = config("killed")
    cfg.update(resume=True, load_from=checkpoint_to_resume(cfg.work_dir))
    assert Path(cfg.load_from).name == f"iter_{2 * killed_in}.pth"
    train(cfg)
    whole, killed = ({path.name for path in (tmp_path / name).glob("*.pth")} for name in ("whole", "killed"))
    assert whole == killed and any(name.startswith("best_mIoU") for name in killed)


def test_a_run_that_branches_from_another_deletes_none_of_its_files(camvid: Path, tmp_path: Path) -> None:
    def config(name: str, iterations: int) -> Config:
        cfg = by_iterations(tiny_camvid(camvid, tmp_path / name), iterations)
        cfg.train_cfg.val_interval = 1
        cfg.default_hooks.checkpoint.update(interval=1, max_keep_ckpts=1, save_best="progress", rule="greater")
        cfg.val_evaluator = dict(type="Iterations")
        return cfg

    train(config("original", 2))
    before = {path: path.read_bytes() for path in (tmp_path / "original").glob("*.pth")}
    assert any(path.name.startswith("best_") for path in before)
    cfg = config("branch", 4)
    cfg.update(resume=True, load_from=str(tmp_path / "original" / "iter_2.pth"))
    train(cfg)
    assert {path: path.read_bytes() for path in (tmp_path / "original").glob("*.pth")} == before
    names = {path.name for path in (tmp_path / "branch").glob("*.pth")}
    assert names == {"iter_4.pth", "best_progress_iter_4.pth"}  # its own older ones are deleted


def test_a_file_is_whole_or_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backend, path = AtomicLocalBackend(), tmp_path / "deep" / "file.pth"
    backend.put(b"first", path)

    def full(handle: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="disk full"):
        backend.put(b"second", path)
    assert path.read_bytes() == b"first"
    assert remove_unfinished(path.parent) == []
    assert [p.name for p in path.parent.iterdir()] == ["file.pth"]


class Runner:
    """As much of a runner as the hook asks for; it writes names instead of weights."""

    def __init__(self, work_dir: Path) -> None:
        self.work_dir, self.epoch, self.iter = str(work_dir), 0, 0
        self.written: list[tuple[str, list[str]]] = []
        self.message_hub = self
        self.runtime_info: dict[str, Any] = {}
        self.logger = self
        self.model, self.hooks = torch.nn.Linear(1, 1), []
        self.cfg: dict[str, Any] = {}
        self.optim_wrapper, self._resume = self, False

    def info(self, message: str) -> None:
        pass

    warning = info

    def get_lr(self) -> dict[str, list[float]]:
        return dict(lr=[0.1])

    def get_info(self, name: str) -> Any:
        return self.runtime_info[name]

    def update_info(self, name: str, value: Any) -> None:
        self.runtime_info[name] = value

    def save_checkpoint(self, out_dir: str, filename: str, *args: Any, backend_args: Any, **kwargs: Any) -> None:
        assert backend_args == dict(backend="atomic_local")
        self.written.append((filename, sorted(path.name for path in Path(out_dir).glob("*.pth"))))
        AtomicLocalBackend().put(b"", Path(out_dir, filename))


@pytest.mark.parametrize(("save_best", "rule"), [("auto", "greater"), (["mIoU", "mAcc"], None)])
def test_older_files_are_deleted_when_newer_ones_are_there(save_best: Any, rule: Any, tmp_path: Path) -> None:
    hook = AtomicCheckpointHook(interval=1, by_epoch=False, max_keep_ckpts=1, save_best=save_best, rule=rule)
    runner: Any = Runner(tmp_path)
    hook.before_train(runner)
    for step, score in ((1, 0.2), (2, 0.1), (3, 0.4)):
        runner.iter = step - 1
        hook._save_checkpoint(runner)
        runner.iter = step
        hook.after_val_epoch(runner, dict(mIoU=score, mAcc=1 - score))
        assert (tmp_path / "last_checkpoint").read_text() == str(tmp_path / f"iter_{step}.pth")
    names = {path.name for path in tmp_path.glob("*.pth")}
    if save_best == "auto":
        assert names == {"iter_3.pth", "best_mIoU_iter_3.pth"}
    else:
        assert names == {"iter_3.pth", "best_mIoU_iter_3.pth", "best_mAcc_iter_2.pth"}
    before = dict(reversed(runner.written))  # what was there when each file was first written
    assert "iter_1.pth" in before["iter_2.pth"]
    assert "best_mIoU_iter_1.pth" in before["best_mIoU_iter_3.pth"]


def test_a_score_that_is_nan_is_never_the_best(tmp_path: Path) -> None:
    hook = AtomicCheckpointHook(interval=1, by_epoch=False, save_best="mIoU")
    runner: Any = Runner(tmp_path)
    hook.before_train(runner)
    for step, score in ((1, float("nan")), (2, 0.2), (3, float("nan")), (4, 0.1)):
        runner.iter = step
        hook.after_val_epoch(runner, dict(mIoU=score))
    assert [path.name for path in tmp_path.glob("best_*")] == ["best_mIoU_iter_2.pth"]


def test_parameters_that_are_not_finite_are_not_written_and_what_was_stays(tmp_path: Path) -> None:
    hook = AtomicCheckpointHook(interval=1, by_epoch=False, max_keep_ckpts=1, save_best="mIoU")
    runner: Any = Runner(tmp_path)
    hook.before_train(runner)
    hook._save_checkpoint(runner)
    runner.iter = 1
    hook.after_val_epoch(runner, dict(mIoU=0.1))
    before = sorted(tmp_path.iterdir())
    torch.nn.init.constant_(runner.model.weight, float("nan"))
    with pytest.raises(DivergedError, match=r"weight.*--resume .*iter_1\.pth"):
        hook._save_checkpoint(runner)
    with pytest.raises(DivergedError):
        hook.after_val_epoch(runner, dict(mIoU=0.9))
    assert sorted(tmp_path.iterdir()) == before
