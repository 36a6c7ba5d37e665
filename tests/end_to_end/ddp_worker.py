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
    """Train the tiny experiment (11 classes on 4 prompts, both hooks) and save this process's parameters.

    Then resume it, from a checkpoint without the frozen ViT, for another epoch.
    """
    options = {"model.backbone.prompts.num_prompts": 4, "model.backbone.weights": str(out / "vit.safetensors")}
    cfg = tiny_camvid(data, out / "work", **options)
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
    cfg.update(experiment_name="resumed", resume=True, load_from=str(out / "work" / "epoch_1.pth"))
    cfg.train_cfg.max_epochs = 2
    runner = Runner.from_cfg(cfg)
    runner.train()
    torch.save(runner.model.module.state_dict(), out / f"resumed{rank}.pth")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
