"""A Python that has imported everything: a command begins as its fork, and takes no 7 s of imports.

The fixture ``forked_python`` is a program like ``sys.executable``, for scripts and for ``-m MODULE``: with its own
arguments, folder, environment, output, exit status, signals, and children that start in the same way. It knows nothing
of the process of the tests. How commands start up is tested with ``sys.executable``, one test a command.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing and pathlib take as long to import as a client does all in all
    from collections.abc import Iterator
    from pathlib import Path

IMPORTED = (
    *(f"davpt_seg.commands.{name}" for name in ("prune", "test", "train")),
    *(f"davpt_seg.training.{name}" for name in ("build_training", "dry_run", "measure", "testing")),
    *(f"mmseg.{part}" for part in ("apis", "datasets", "engine", "evaluation", "models", "visualization")),
    *("davpt_seg.benchmark.command", "matplotlib.pyplot", "mmpretrain.apis", "scipy.optimize", "sklearn.cluster"),
    *("torch._dynamo", "torch.distributed.run"),
)


def serve(address: str) -> None:
    """Import everything, and start a fork for each request, until standard input is closed."""
    import gc
    import select
    import warnings
    from importlib import import_module

    for name in IMPORTED:
        import_module(name)
    warnings.filters.remove(("ignore", None, Warning, None, 0))  # -W ignore, of the server alone
    warnings._filters_mutated()  # type: ignore[attr-defined]
    sys.warnoptions.clear()
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(16)
    print("ready", flush=True)
    while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
        connection, _ = listener.accept()
        if not os.fork():
            listener.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _watch(connection)
        connection.close()


def _watch(connection: socket.socket) -> None:
    """Be the parent of a command: pass signals on to it, and its exit status back. A killed client's is killed."""
    import array
    import contextlib
    import select

    files = array.array("i")
    _, ((_, _, sent),), _, _ = connection.recvmsg(1, socket.CMSG_LEN(3 * files.itemsize))
    files.frombytes(sent)
    with connection.makefile("rb") as lines:
        request = json.loads(lines.readline())
    child = os.fork()
    if not child:
        connection.close()
        _command(list(files), **request)
    for file in (*files, 0, 1, 2):
        os.close(file)
    ended = os.pidfd_open(child)
    while ended not in select.select([connection, ended], [], [])[0]:
        sign = connection.recv(1)
        os.kill(child, sign[0] if sign else signal.SIGKILL)
        if not sign:
            break
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with contextlib.suppress(OSError):  # the client was killed
        connection.sendall(str(status).encode())
    os._exit(0)


def _command(files: list[int], program: str, arguments: list[str], folder: str, environment: dict[str, str]) -> None:
    """Be the command; it never returns."""
    import atexit
    import random
    import runpy
    import threading
    import traceback
    from types import ModuleType

    import numpy as np

    status, interrupted = 1, False
    try:
        os.setsid()
        for place, file in enumerate(files):
            os.dup2(file, place)
            os.close(file)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        random.seed()
        np.random.seed()
        sys.executable = program
        if arguments[0] == "-m":
            sys.argv, sys.path[0] = arguments[1:], folder
            runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv, sys.path[0] = arguments, os.path.dirname(os.path.abspath(arguments[0]))
            main = sys.modules["__main__"] = ModuleType("__main__")
            main.__file__ = os.path.abspath(arguments[0])
            with open(main.__file__, "rb") as script:
                code = compile(script.read(), main.__file__, "exec")
            exec(code, vars(main))
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException as error:
        traceback.print_exc()
        interrupted = isinstance(error, KeyboardInterrupt)
    finally:
        threading._shutdown()
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        if interrupted:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)
        os._exit(status)


def ask(address: str, program: str, arguments: list[str]) -> None:
    """Be a client: as the command, but for its process."""
    taken = arguments[1:] if arguments[:1] == ["-u"] else arguments
    if not taken or (taken[0].startswith("-") and taken[0] != "-m"):
        os.execv(sys.executable, [sys.executable, *arguments])
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(address)
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, lambda number, _: connection.sendall(bytes([number])))
    request = dict(program=program, arguments=taken, folder=os.getcwd(), environment=dict(os.environ))
    socket.send_fds(connection, [b"."], [0, 1, 2])
    connection.sendall(json.dumps(request).encode() + b"\n")
    status = int(connection.recv(16) or 1)
    if status < 0:
        signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    sys.exit(status)


@contextmanager
def forked(folder: Path) -> Iterator[str]:
    """Start a server in a folder, and return the path of the program whose processes are its forks."""
    import shlex
    import subprocess

    if not hasattr(os, "pidfd_open"):  # of Linux
        yield sys.executable
        return
    address, program = str(folder / "socket"), folder / "python"
    program.write_text(
        f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -S -E {__file__} ask {shlex.quote(address)} "$0" "$@"\n'
    )
    program.chmod(0o755)
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", __file__, "serve", address],
        cwd=os.path.dirname(os.path.dirname(__file__)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout is not None and server.stdout.readline() == "ready\n"
        yield str(program)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        del sys.path[0]  # this folder
        serve(sys.argv[2])
    else:
        ask(sys.argv[2], sys.argv[3], sys.argv[4:])
