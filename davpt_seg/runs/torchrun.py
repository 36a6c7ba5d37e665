"""Start of torchrun with the exit status and the message of the process that failed first; 3: a training diverged."""

from __future__ import annotations

import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any

from ..terminal.ending import INTERRUPTED
from ..terminal.processes import TORCHRUN, left_message


def main() -> None:
    """Run ``torchrun`` with this process's arguments.

    Raises:
        SystemExit: a process of the training failed, or this one was interrupted.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main as torchrun

    os.environ.setdefault("OMP_NUM_THREADS", "1")  # torchrun's own default, without its six lines about it
    os.environ[TORCHRUN] = "1"
    logging.disable(logging.ERROR)  # torchrun's own reports; what they say is printed below
    try:
        torchrun()
    except ChildFailedError as error:
        first = _first_with_message(error)
        status = max(first.exitcode, 1)  # below 0: a signal
        print(f"{_program()}: error: {_reason(first)}", file=sys.stderr)
        raise SystemExit(status) from None
    except SignalException as error:
        raise SystemExit(INTERRUPTED if error.sigval == signal.SIGINT else 128 + error.sigval) from None


def _first_with_message(error: Any) -> Any:
    """Return the failure that came first, of those with a message if there are any."""
    failures = sorted(error.failures.values(), key=lambda failure: failure.timestamp)
    return next((each for each in failures if left_message(each.error_file_data)), failures[0])


def _reason(failure: Any) -> str:
    if message := left_message(failure.error_file_data):
        return message
    if failure.exitcode < 0:
        name = signal.Signals(-failure.exitcode).name
        killed = " (the machine's memory may be too small)" if name == "SIGKILL" else ""
        return f"process {failure.local_rank} was ended by {name}{killed}"
    return f"process {failure.local_rank} ended with exit status {failure.exitcode}; its message is above"


def _program() -> str:
    """Return the script that torchrun was to run."""
    return next((Path(each).name for each in sys.argv[1:] if each.endswith(".py")), "torchrun")


if __name__ == "__main__":
    main()
