"""One process of test_two_processes_train_the_same_model; started by torchrun."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from davpt_seg.compat import prepare_cpu_ddp

from ..training import tiny_camvid


def main(data: Path, out: Path) -> None:
    """Train the tiny experiment (11 classes on 4 prompts, both hooks) and save this process's parameters."""
    cfg = tiny_camvid(data, out / "work", **{"model.backbone.prompts.num_prompts": 4})
    cfg.launcher = "pytorch"
    cfg.experiment_name = "ddp"
    prepare_cpu_ddp(cfg)
    runner = Runner.from_cfg(cfg)
    assert is_model_wrapper(runner.model)
    rank = int(os.environ["RANK"])
    if rank == 0:
        torch.save(runner.model.module.state_dict(), out / "before.pth")
    runner.train()
    torch.save(runner.model.module.state_dict(), out / f"rank{rank}.pth")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
