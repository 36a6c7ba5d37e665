"""Wrong inputs of tools/prune.py, as ``wrong_inputs`` has them of the rest."""

from __future__ import annotations

import os
from pathlib import Path
from unittest import mock

import torch

from davpt_seg.apis.prune import main_prune

from .recognition import write_vtab
from .scenes import write_camvid
from .wrong_case import wrong

WORDS = "method=e2vpt,trunk=vits14,data=vtab/eurosat"
CAMVID = "configs/baselines/vpt_deep/linear_vits14_camvid.py"


def prune(folder: Path, *arguments: str) -> None:
    """Run tools/prune.py in this process, as far as it gets, on a small EuroSAT in VTAB's layout."""
    with mock.patch.dict(os.environ, VTAB_ROOT=str(write_vtab(folder / "vtab", "eurosat"))):
        main_prune([*arguments, "--dry-run"])


def case(does: str, arguments: str, *says: str) -> None:
    """Add a case of a wrong command."""
    wrong("Pruning", does, *says)(lambda folder: prune(folder, *arguments.split()))


def case_of_words(does: str, words: str, *says: str) -> None:
    """Add a case of an experiment that cannot be pruned."""
    case(f"`prune.py {words},...`: {does}", f"{words},trunk=vits14,data=vtab/eurosat", *says)


case_of_words("a method without prompts", "method=lora", "no prompts, so nothing to prune", "method=e2vpt")
case_of_words("shallow prompts", "method=vpt_shallow", "are shallow", "pruning is for deep ones")
case_of_words("gated prompts", "method=gatevpt", "are gated", "pruning is for deep ones")
case_of_words(
    "another number of prompts in guided blocks",
    "method=davpt,prompts=20,guided_prompts=7",
    "as many",
    "num_prompts=20",
)
case_of_words("a cycle with a split of its own", "method=e2vpt,split=final", "leave split= out")
case("`prune.py --prompt-share 1`: all of them", f"{WORDS} --prompt-share 1", "must be at least 0 and leave one")
case("`prune.py --segments 7`", f"{WORDS} --segments 7", "7 do not divide the ViT's width of 384", "E2VPT takes 16")
case("`prune.py --images 999` of 4", f"{WORDS} --images 999", "must be 1 to 4", "got 999")
case("`prune.py --launcher pytorch`", f"{WORDS} --launcher pytorch", "runs in one process", "tools/dist_train.sh")
case("`prune.py CONFIG CHECKPOINT` without `--out`", f"{WORDS} epoch_1.pth", "needs --out FILE.py")
case(
    "`prune.py CONFIG CHECKPOINT` with several shares",
    f"{WORDS} epoch_1.pth --out p.py --prompt-share 0.3 0.5",
    "leave CHECKPOINT out",
)
case(
    "`prune.py` with `split=final`, which has no held-out images",
    f"{WORDS},split=final epoch_1.pth --out p.py",
    "has no val_dataloader",
    "split=choose",
    "--split train",
)
case("`prune.py --out` a file that is there", f"{WORDS} epoch_1.pth --out setup.py", "setup.py exists already")
case(
    "`prune.py` with a checkpoint that is not there", f"{WORDS} epoch_1.pth --out p.py", "'epoch_1.pth' does not exist"
)


@wrong("Pruning", "`prune.py` without a validation image", "val: ", "no image in", "val200.txt")
def _(folder: Path) -> None:
    (write_vtab(folder, "eurosat") / "eurosat" / "val200.txt").write_text("")
    with mock.patch.dict(os.environ, VTAB_ROOT=str(folder)):
        main_prune([WORDS, "--dry-run"])


@wrong("Pruning", "`prune.py` with another config's checkpoint", "is not of", "with these --cfg-options")
def _(folder: Path) -> None:
    torch.save(dict(state_dict={"head.fc.bias": torch.zeros(10)}), folder / "epoch_1.pth")
    prune(folder, WORDS, str(folder / "epoch_1.pth"), "--out", str(folder / "pruned.py"))


@wrong("Pruning", "`prune.py` with a config that tests on its validation images", "2 images that it tests on")
def _(folder: Path) -> None:
    root = write_camvid(folder)
    data = [f"{split}_dataloader.dataset.data_root={root}" for split in ("train", "val", "test")]
    prune(folder, CAMVID, "epoch_1.pth", "--out", str(folder / "pruned.py"), "--cfg-options", *data)
