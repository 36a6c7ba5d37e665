"""Kills a real training at random moments, resumes it each time, and compares its end with an uninterrupted run's.

The trainings are forks of this process, which has imported everything, so that an attempt starts in a second or two.
By hand, for longer or with another seed: ``python -m tests.end_to_end.kills --kills 100 --seed 3``.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import random
import signal
import sys
import tempfile
import time
import traceback
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.config import Config

from davpt_seg.commands.train import main_train
from davpt_seg.training.resume import damage

from ..scenes import write_camvid
from ..training import by_iterations, tiny_camvid

ITERATIONS = 24
LAST = f"iter_{ITERATIONS}.pth"
NOT_COMPARED = {"meta", "message_hub"}  # times, paths and logged values, on which no training depends
MODULES = "modules.txt"  # that a training imported
PATIENCE = 120.0  # seconds that an attempt may take


class Moment(NamedTuple):
    """When to kill an attempt.

    ``seconds`` after its start, a fraction of a second after its n-th ``iteration``, or while it is ``writing`` its
    n-th checkpoint.
    """

    how: str
    amount: float


class Report(NamedTuple):
    """How many kills hit at which kind of moment, how many trainings came to their end, and what differed there."""

    hits: Counter[str]
    trainings: int
    differences: list[str]


def eventful(data: Path, folder: Path) -> Path:
    """Write the config of a training in which all happens that may differ after a resume; return its path.

    Eleven classes on four prompts and clusterings between, augmentation, dropout of heads and prompts, AdamW, a
    schedule by iterations, validations, a best checkpoint, and a checkpoint after every second iteration.
    """
    cfg = by_iterations(tiny_camvid(data, folder, **{"model.backbone.prompts.num_prompts": 4}), ITERATIONS)
    cfg.model.backbone.prompts.dropout = 0.1
    cfg.train_dataloader.dataset.pipeline.insert(-1, dict(type="PhotoMetricDistortion"))
    cfg.train_cfg.val_interval = 10
    cfg.default_hooks.checkpoint.update(interval=2, max_keep_ckpts=2, save_best="mIoU")
    cfg.custom_hooks[1].interval = 5
    cfg.param_scheduler = [dict(type="PolyLR", eta_min=1e-4, power=0.9, begin=0, end=ITERATIONS, by_epoch=False)]
    cfg.pop("experiment_name")
    cfg.pop("work_dir")
    folder.mkdir(parents=True, exist_ok=True)
    cfg.dump(folder / "killed.py")
    return folder / "killed.py"


def kill_and_compare(config: Path, folder: Path, kills: int, seed: int, say: Callable[[str], Any] = print) -> Report:
    """Train once undisturbed; then train and kill, resume and kill, until enough kills have hit; compare each end.

    Args:
        config: of the training.
        folder: for work dirs and logs; made if it is not there.
        kills: how many must hit a living training.
        seed: of the moments.
        say: is given a line an attempt.
    """
    draw = random.Random(seed)
    started = time.monotonic()
    whole = folder / "whole"
    status = _attempt(config, whole, folder / "whole.log", Moment("seconds", PATIENCE))
    assert status == 0, (folder / "whole.log").read_text()[-3000:]
    seconds = time.monotonic() - started
    for module in (whole / MODULES).read_text().split():  # once here, and not again in each attempt
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
    say(f"the uninterrupted run took {seconds:.1f} s")
    hits: Counter[str] = Counter()
    trainings, found, attempt = 0, [], 0
    while hits.total() < kills or attempt:
        work_dir = folder / f"killed_{trainings}"
        moment = _moment(draw, seconds) if hits.total() < kills else Moment("seconds", PATIENCE)
        log = folder / f"killed_{trainings}_{attempt}.log"
        status = _attempt(config, work_dir, log, moment)
        found += [f"{work_dir.name}, attempt {attempt}: {what}" for what in _left_broken(work_dir)]
        if status == -signal.SIGKILL:
            hits[moment.how] += 1
            say(f"kill {hits.total()}: {moment.how} {moment.amount:.2f}, {_progress(work_dir)}")
            attempt += 1
        elif status == 0:
            say(f"training {trainings} came to its end after {attempt} kills")
            found += [f"{work_dir.name}: {what}" for what in compare(whole, work_dir)]
            trainings, attempt = trainings + 1, 0
        else:
            found.append(f"{log}: exit status {status}: {log.read_text()[-1500:]}")
            break
    return Report(hits, trainings, found)


def _moment(draw: random.Random, seconds: float) -> Moment:
    how = draw.choice(["seconds", "iteration", "writing"])
    if how == "seconds":
        return Moment(how, draw.uniform(0, seconds / 2))
    return Moment(how, draw.uniform(1, 5) if how == "iteration" else draw.randint(1, 3))


def _attempt(config: Path, work_dir: Path, log: Path, moment: Moment) -> int:
    """Train in a fork, or resume, until the moment; return its exit status, or the negative number of its signal."""
    child = os.fork()
    if not child:
        _train(config, work_dir, log, slow=moment.how == "writing")
    started, written, unfinished = time.monotonic(), 0, False
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        passed = time.monotonic() - started
        now = moment.how == "seconds" and passed > moment.amount
        if moment.how == "iteration" and _iterations(log) >= int(moment.amount):
            time.sleep(0.1 * (moment.amount % 1))
            now = True
        if moment.how == "writing":
            before, unfinished = unfinished, any(work_dir.glob("*.unfinished"))
            written += unfinished and not before
            now = written == moment.amount
        if now or passed > PATIENCE:
            os.kill(child, signal.SIGKILL)
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        time.sleep(0.01)


def _train(config: Path, work_dir: Path, log: Path, slow: bool) -> None:
    """Be the training: never returns."""
    status = 1
    with open(log, "w", buffering=1) as said:
        sys.stdout = sys.stderr = said
        try:
            if slow:
                sync = os.fsync
                os.fsync = lambda file: (time.sleep(0.1), sync(file))[1]  # type: ignore[assignment]
            name = f"visualizer.name=v{uuid.uuid4().hex}"
            scores = str(work_dir / "scores.json")
            arguments = ["--work-dir", str(work_dir), "--resume", "--test", scores, "--cfg-options", name]
            main_train([str(config), *arguments])
            (work_dir / MODULES).write_text("\n".join(sorted(sys.modules)))
            status = 0
        except SystemExit as error:
            status = int(error.code or 0)
        except BaseException:
            traceback.print_exc()
        finally:
            said.flush()
            os._exit(status)


def _iterations(log: Path) -> int:
    return log.read_text(errors="replace").count(" Iter(train) ") if log.is_file() else 0


def _progress(work_dir: Path) -> str:
    pointer = work_dir / "last_checkpoint"
    last = Path(pointer.read_text()).name if pointer.is_file() else "nothing"
    return f"{last} written" + (", one unfinished" if any(work_dir.glob("*.unfinished")) else "")


def _left_broken(work_dir: Path) -> list[str]:
    """Say which checkpoints, and whether the pointer to the last one, are not whole."""
    broken = [f"{path.name} {why}" for path in sorted(work_dir.glob("*.pth")) if (why := damage(str(path)))]
    pointer = work_dir / "last_checkpoint"
    if pointer.is_file() and not Path(pointer.read_text()).is_file():
        broken.append(f"last_checkpoint points to {pointer.read_text()!r}")
    return broken


def compare(whole: Path, killed: Path) -> list[str]:
    """Say where the last checkpoints or the scores of two work dirs differ, and which kept files are missing."""
    first, second = (torch.load(folder / LAST, weights_only=True) for folder in (whole, killed))
    found = [f"{LAST}{path} differs" for path in differences(first, second)]
    scores = [json.loads((folder / "scores.json").read_text()) for folder in (whole, killed)]
    for each in scores:
        each["about"] = {key: value for key, value in each.get("about", {}).items() if key != "config"}
    if scores[0] != scores[1]:
        found.append(f"scores differ: {scores}")
    names = [{path.name for path in folder.glob("*.pth*")} for folder in (whole, killed)]
    # A kill between writing a checkpoint and deleting an older one leaves the older one: docs/exactness.md.
    lost, unfinished = names[0] - names[1], {name for name in names[1] if not name.endswith(".pth")}
    return found + ([f"files differ: {names}"] if lost or unfinished else [])


def differences(first: Any, second: Any, path: str = "") -> list[str]:
    """Say where two nested checkpoints are not bit for bit the same."""
    if isinstance(first, torch.Tensor):
        return [] if isinstance(second, torch.Tensor) and torch.equal(first, second) else [path]
    if isinstance(first, dict):
        if not isinstance(second, dict) or first.keys() != second.keys():
            return [path]
        kept = [key for key in first if key not in NOT_COMPARED]
        return [each for key in kept for each in differences(first[key], second[key], f"{path}/{key}")]
    if isinstance(first, (list, tuple)):
        if len(first) != len(second):
            return [path]
        return [d for i, pair in enumerate(zip(first, second)) for d in differences(*pair, f"{path}/{i}")]
    return [] if first == second else [path]


def main() -> None:
    """Kill by hand."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="default: a new one in the system's")
    args = parser.parse_args()
    folder = args.folder or Path(tempfile.mkdtemp(prefix="kills-"))
    config = eventful(write_camvid(folder / "camvid"), folder)
    Config.fromfile(config)
    report = kill_and_compare(config, folder, args.kills, args.seed)
    print(f"{dict(report.hits)} kills, {report.trainings} trainings compared, {len(report.differences)} differences")
    print("\n".join(report.differences))
    raise SystemExit(bool(report.differences))


if __name__ == "__main__":
    main()
