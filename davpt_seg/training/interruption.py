"""Ctrl-C, SIGTERM and SIGHUP in a training: they end it at a point from which it can be resumed."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Optional

from mmengine.dist import is_main_process
from mmengine.runner import Runner

from ..engine.interruption_hook import InterruptionHook

HANGUP = getattr(signal, "SIGHUP", None)  # of a closed terminal; Windows has none
SIGNALS = (signal.SIGINT, signal.SIGTERM, *([HANGUP] if HANGUP else []))
NOTE = b"Ending after this step; a second signal ends at once.\n"
AGAIN = 1.0  # seconds; torchrun passes on a Ctrl-C that the terminal has sent to all processes already


class Request:
    """Handler of signals that notes the first one, and ends the process at once at the next.

    A data loader's workers inherit it: they ignore Ctrl-C, which a terminal sends to them, too.
    """

    def __init__(self) -> None:
        self.signum = 0
        self._process = os.getpid()
        self._since = 0.0

    def __call__(self, signum: int, frame: Optional[FrameType]) -> None:
        """Note a signal, or end."""
        if os.getpid() != self._process:
            return
        if not self.signum:
            self.signum, self._since = signum, time.monotonic()
            if hasattr(signal, "SIGCHLD"):  # torch would raise where the signal ended the workers, too
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            if is_main_process():
                with suppress(OSError):  # behind "| tee", which Ctrl-C has ended
                    os.write(2, NOTE)  # print is not reentrant
        elif time.monotonic() - self._since > AGAIN:
            raise KeyboardInterrupt("Interrupted at once: what followed the last checkpoint is not saved.")


@contextmanager
def interruptible(runner: Runner, resume: str) -> Iterator[None]:
    """Let SIGINT, SIGTERM and SIGHUP end a training or test inside after the current step, with a checkpoint.

    Under ``nohup``, SIGHUP stays ignored.

    Args:
        runner: runner that trains or tests in the block.
        resume: command that resumes the training.

    Raises:
        Interrupted: a signal arrived; the message has the checkpoint and the command.
    """
    if threading.current_thread() is not threading.main_thread():  # Python handles signals in the main thread only
        yield
        return
    request = Request()
    hook = InterruptionHook(lambda: request.signum, resume)
    runner.register_hook(hook, "LOWEST")  # the state of an iteration is complete then
    handled = [signum for signum in SIGNALS if signum != HANGUP or signal.getsignal(signum) != signal.SIG_IGN]
    before = {signum: signal.signal(signum, request) for signum in handled}
    try:
        yield
    except RuntimeError as error:
        if "DataLoader worker" in str(error):
            hook.end_without_data(runner)
        raise
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
