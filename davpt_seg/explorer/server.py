"""Server of the explorer, for browsers of this machine only."""

from __future__ import annotations

import socket
from typing import Callable, Optional

import uvicorn
from starlette.types import ASGIApp

from ..errors import InputError

HOST, FIRST_PORT, PORTS = "127.0.0.1", 7860, 100
PATIENCE = 1  # seconds for open connections when the server ends


def listener(port: Optional[int]) -> socket.socket:
    """Return a socket of this machine, bound to a port.

    Args:
        port: port; by default the first free one from 7860.

    Raises:
        InputError: the port is in use or not allowed; the message names a free one.
    """
    if port is not None:
        try:
            return _bound(port)
        except (OSError, OverflowError) as error:
            reason = "ports are 0 to 65535" if isinstance(error, OverflowError) else str(error.strerror).lower()
            with listener(None) as free:
                other = free.getsockname()[1]
            raise InputError(f"--port {port} cannot be used ({reason}); {other} is free: --port {other}") from error
    for each in range(FIRST_PORT, FIRST_PORT + PORTS):
        try:
            return _bound(each)
        except OSError:  # in use
            continue
    raise InputError(f"no port from {FIRST_PORT} to {FIRST_PORT + PORTS - 1} is free; choose another with --port")


def _bound(port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port that was just left is free
        made.bind((HOST, port))
        made.listen()
    except (OSError, OverflowError):
        made.close()
        raise
    return made


class Server(uvicorn.Server):
    """Server of an app.

    Args:
        app: app.
        made: what :func:`listener` returned.
        ready: called with the address as soon as the server answers.
    """

    def __init__(self, app: ASGIApp, made: socket.socket, ready: Callable[[str], None]) -> None:
        super().__init__(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=PATIENCE))
        self._made, self._ready = made, ready

    async def startup(self, sockets: Optional[list[socket.socket]] = None) -> None:
        """Begin to answer; called by :meth:`serve_forever`."""
        await super().startup(sockets)
        self._ready(f"http://{HOST}:{self._made.getsockname()[1]}/")

    def serve_forever(self) -> None:
        """Serve until Ctrl-C, or until ``should_exit`` is set.

        Raises:
            KeyboardInterrupt: Ctrl-C.
        """
        with self._made:
            self.run(sockets=[self._made])
