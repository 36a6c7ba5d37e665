"""Data are checked by one process of several, and all of them end where it finds a problem."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config

from davpt_seg.commands.config_argument import check_data
from davpt_seg.errors import InputError
from davpt_seg.training import check_splits
from davpt_seg.training.first_process import first_process_alone

from ..core.guidance.test_gather import in_processes
from ..scenes import write_camvid
from . import tiny_camvid

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="forks; hide the GPU with CUDA_VISIBLE_DEVICES=''")


def checks(rank: int, root: str) -> tuple[Any, int]:
    """Check data as tools/train.py does; how this process ended, and how many data sets it read."""
    read = []
    original = check_splits.check_dataset
    check_splits.check_dataset = lambda *args: (read.append(1), original(*args))[1]
    cfg = tiny_camvid(Path(root), Path(root) / "work")
    try:
        check_data(cfg, ("train", "val"), "pytorch")
    except InputError as error:
        return str(error), len(read)
    except SystemExit as ended:
        return ended.code, len(read)
    finally:
        check_splits.check_dataset = original
    return 0, len(read)


def test_the_first_process_reads_and_the_others_end_with_it(tmp_path: Path) -> None:
    root = write_camvid(tmp_path / "camvid")
    assert in_processes(partial(checks, root=str(root)), tmp_path, number=2) == [(0, 2), (0, 0)]
    (root / "annotations" / "val" / "0001.png").unlink()
    (said, first), other = in_processes(partial(checks, root=str(root)), tmp_path, number=2)
    assert "val: data set BaseSegDataset" in said and "1 of 2 masks are missing" in said
    assert (first, other) == (2, (2, 0))


def crash(rank: int) -> str:
    try:
        with first_process_alone(Config(), "pytorch") as first:
            if first:
                raise KeyError("a bug")
    except (KeyError, SystemExit) as ended:
        return repr(ended)
    return "went on"


def test_a_crash_of_the_first_process_leaves_no_other_waiting(tmp_path: Path) -> None:
    assert in_processes(crash, tmp_path, number=2) == ["KeyError('a bug')", "SystemExit(2)"]
