"""Runner of the commands: on the terminal a summary, in the log file everything."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from mmengine.logging import MMLogger
from mmengine.runner import Runner
from mmengine.visualization import Visualizer

from ..quiet import TerminalFilter
from .curve_files import placed
from .summary import environment


class CommandRunner(Runner):
    """MMEngine's Runner with a short first screen.

    What MMEngine logs of the environment, the config and the hooks goes to the log file only.
    """

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        """Build the logger; its terminal omits :data:`~davpt_seg.quiet.RECORDS`."""
        logger = super().build_logger(*args, **kwargs)
        for handler in terminal_handlers(logger):
            if not any(isinstance(each, TerminalFilter) for each in handler.filters):
                handler.addFilter(TerminalFilter(handler))
        return logger

    def build_visualizer(self, visualizer: Any = None) -> Visualizer:
        """Build the visualizer; its backends write into the work dir, or continue there."""
        if isinstance(visualizer, Mapping):
            visualizer = placed(visualizer, self.cfg)
        return super().build_visualizer(visualizer)

    def _log_env(self, env_cfg: dict[str, Any]) -> None:
        super()._log_env(env_cfg)
        self.logger.info(environment(self))


def terminal_handlers(logger: logging.Logger) -> list[logging.StreamHandler[Any]]:
    """Return the handlers of a logger that write to the terminal."""
    return [
        handler
        for handler in logger.handlers
        if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler)
    ]
