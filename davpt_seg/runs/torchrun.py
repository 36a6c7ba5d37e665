"""Start of torchrun with the exit status of the process that failed first; 3 means that a training diverged."""

from __future__ import annotations

import sys


def main() -> None:
    """Run ``torchrun`` with this process's arguments.

    Raises:
        SystemExit: a process of the training failed.
    """
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main as torchrun

    try:
        torchrun()
    except ChildFailedError as error:
        print(error, file=sys.stderr)
        _, first = error.get_first_failure()
        raise SystemExit(max(first.exitcode, 1)) from None  # below 0: a signal


if __name__ == "__main__":
    main()
