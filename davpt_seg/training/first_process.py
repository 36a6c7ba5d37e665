"""A check that one process of several makes for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch.distributed
from mmengine.config import Config
from mmengine.dist import init_dist, is_distributed
from mmengine.utils.dl_utils import set_multi_processing

LONGEST = timedelta(days=1)  # that a check of many files on a slow disk may take


@contextmanager
def first_process_alone(cfg: Config, launcher: str) -> Iterator[bool]:
    """Yield whether this is the first process; the others wait at the end until it is there.

    Where the first one fails, the others end with exit status 2 and without a message. The processes are
    connected here, as ``Runner`` would do later.

    Args:
        cfg: config whose ``env_cfg`` names the backend of the processes.
        launcher: ``none``, ``pytorch``, ``slurm`` or ``mpi``: what started this process.

    Raises:
        SystemExit: in the other processes, where the first one failed.
    """
    if launcher == "none":
        yield True
        return
    if not is_distributed():
        env = cfg.get("env_cfg") or dict(dist_cfg=dict(backend="nccl"))
        set_multi_processing(**env.get("mp_cfg") or {}, distributed=True)
        init_dist(launcher, **env.get("dist_cfg") or {})
    group: Any = torch.distributed.new_group(backend="gloo", timeout=LONGEST)  # nccl would give up after minutes
    first = torch.distributed.get_rank() == 0
    failed = [True]
    try:
        yield first
        failed = [False]
    finally:
        torch.distributed.broadcast_object_list(failed, src=0, group=group)
        torch.distributed.destroy_process_group(group)
        if failed[0] and not first:
            raise SystemExit(2)


def disconnect(launcher: str) -> None:
    """Close the connections of processes that a launcher started, when all of them are done.

    Left to the interpreter's end, or closed while another process still communicates, gloo may abort the process.
    """
    if launcher != "none" and torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
