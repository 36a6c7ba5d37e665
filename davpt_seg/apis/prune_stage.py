"""A training of a pruning cycle: a process of its own, which is done once its scores are written."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Optional

from mmengine.config import Config

from ..benchmark.attempts import claim
from ..errors import InputError
from ..training.resume import last_checkpoint


class Stage(NamedTuple):
    """A training, by its config file; its work dir has the file's name.

    Args:
        config: ``stage1.py``.
        title: what the user is told.
    """

    config: Path
    title: str

    @property
    def work_dir(self) -> Path:
        """Checkpoints, logs and scores."""
        return self.config.with_suffix("")

    @property
    def scores(self) -> Optional[dict[str, Any]]:
        """What its test gave; None before it ended."""
        file = self.work_dir / "scores.json"
        return json.loads(file.read_text()) if file.is_file() else None

    @property
    def checkpoint(self) -> str:
        """The last one.

        Raises:
            InputError: it was removed.
        """
        found = last_checkpoint(str(self.work_dir))
        if found is None:
            raise InputError(f"{self.work_dir} has no checkpoint any more; remove {self.work_dir} to train it again")
        return found

    def train(self, amp: bool, start: Optional[str] = None) -> dict[str, Any]:
        """Train and test, or go on with that; nothing is done twice.

        Args:
            amp: in mixed precision.
            start: a checkpoint to go on from; None: the work dir's last one, if it has any.

        Returns:
            The scores.

        Raises:
            InputError: the training failed, or somebody else is at it.
        """
        if self.scores is None:
            print(f"{self.title}: training in {self.work_dir}", flush=True)
            arguments = [str(self.config), "--work-dir", str(self.work_dir)]
            arguments += ["--test", str(self.work_dir / "scores.json"), *(["--amp"] if amp else [])]
            run_training(self.work_dir, [*arguments, *self._resume(start)])
        else:
            print(f"{self.title}: done before, in {self.work_dir}", flush=True)
        scores = self.scores
        if scores is None:
            raise InputError(f"{self.title}: the training ended without scores; its log is in {self.work_dir}")
        return scores

    def _resume(self, start: Optional[str]) -> list[str]:
        """Say what to go on from; nothing where checkpoints hold no optimizer: such a training begins anew."""
        checkpoints = Config.fromfile(self.config).default_hooks.get("checkpoint", {})
        if checkpoints.get("save_optimizer") is False:
            return []
        return ["--resume", start] if start else ["--resume"]


def settle(cfg: Config, path: Path, about: str) -> None:
    """Write a stage's config; if it is there, it must be the same.

    Raises:
        InputError: it is another one.
    """
    text = f"# {about}\n{cfg.pretty_text}"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    elif path.read_text() != text:
        raise InputError(
            f"{path} is of another experiment than this command's (other words, options, data or importance); give "
            "another --work-dir, or the command that it was begun with"
        )


def run_training(work_dir: Path, arguments: Sequence[str]) -> None:
    """Run ``davpt-seg train`` in a process of its own, whose lines are seen here.

    Raises:
        InputError: it failed, or another command trains in that folder.
    """
    attempt = claim(work_dir, uuid.uuid4().hex)
    if attempt is None:
        raise InputError(f"{work_dir}: another command is training there ({work_dir / 'attempts'}); wait for its end")
    code = None
    process = subprocess.Popen([sys.executable, "-m", "davpt_seg", "train", *arguments])
    try:
        attempt.hold(process.pid)
        code = process.wait()
    finally:
        if code is None:  # interrupted, which the training was, too
            process.terminate()
            process.wait()
        attempt.end("stopped" if code is None else "failed" if code else "finished")
    if code:
        raise InputError(f"training in {work_dir} failed (exit status {code}, see above); the same command goes on")
