"""A training's own work dir, which no other training writes into meanwhile."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from mmengine.config import Config

from ..runs.lock import NoLocksError, owner
from ..training.first_process import first_process_alone

logger = logging.getLogger("davpt_seg")


@contextmanager
def own_work_dir(cfg: Config, launcher: str) -> Iterator[None]:
    """Own the work dir of a training while the block runs; of several processes, the first one does.

    Args:
        cfg: the training's config.
        launcher: what started this process.

    Raises:
        InputError: another training or a benchmark uses the folder; the message names its process and host.
    """
    with ExitStack() as held:
        with first_process_alone(cfg, launcher) as first:
            if first:
                try:
                    held.enter_context(owner(Path(cfg.work_dir)))
                except NoLocksError as error:
                    logger.warning("%s. Start no second training in this work dir", error)
        yield
