"""Names of the commands, as the user who runs one can type them."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

#: Scripts of a checkout's ``tools/``.
SCRIPTS = {
    "train": "train.py",
    "test": "test.py",
    "predict": "predict.py",
    "check-dataset": "check_dataset.py",
    "benchmark": "run_benchmark.py",
    "prune": "prune.py",
    "count": "count_parameters.py",
    "mapping": "mapping_report.py",
}
CONSOLE = "davpt-seg"


def program(name: str) -> str:
    """Return how to call a command from here, without its arguments.

    Args:
        name: one of :data:`davpt_seg.cli.COMMANDS`.

    Returns:
        ``python tools/test.py`` if a script of the same folder runs now; else ``davpt-seg test``, or ``python -m
        davpt_seg test`` where that console command is not on the path.
    """
    running = Path(sys.argv[0])
    script = running.parent / SCRIPTS.get(name, "")
    if running.name in SCRIPTS.values() and name in SCRIPTS and script.is_file():
        return f"python {shlex.quote(str(script))}"
    return f"{CONSOLE} {name}" if shutil.which(CONSOLE) else f"python -m davpt_seg {name}"


def for_help(text: str) -> str:
    """Put the commands into the examples of a ``--help``: ``{predict}``, ``{check_dataset}``, ..."""
    names = ("explore", "export", *SCRIPTS)
    return text.format(**{name.replace("-", "_"): program(name).replace("%", "%%") for name in names})


def running_program() -> str:
    """Return the name of the command that runs, for messages; as argparse names it."""
    return Path(sys.argv[0]).name


def command_line(name: str, *arguments: str) -> str:
    """Return a command with its arguments as this user can type it; what the shell would divide is quoted."""
    return " ".join([program(name), *map(shlex.quote, arguments)])
