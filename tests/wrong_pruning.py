"""Wrong inputs of tools/prune.py and of the words of pruning; ``wrong_inputs`` has the others."""

from __future__ import annotations

import json
import os
from pathlib import Path
from unittest import mock

import torch

from davpt_seg.benchmark.command import main_benchmark
from davpt_seg.commands.prune import main_prune
from davpt_seg.commands.train import main_train

from .recognition import write_vtab
from .scenes import write_camvid
from .wrong_case import wrong

WORDS = "method=e2vpt,trunk=vits14,data=vtab/eurosat"
CAMVID = "configs/baselines/vpt_deep/linear_vits14_camvid.py"


def prune(folder: Path, *arguments: str) -> None:
    """Run tools/prune.py in this process until its error, on a small EuroSAT in VTAB's layout."""
    with mock.patch.dict(os.environ, VTAB_ROOT=str(write_vtab(folder / "vtab", "eurosat"))):
        main_prune([*arguments, "--dry-run"])


def case(does: str, arguments: str, *says: str) -> None:
    """Add a case of a wrong command."""
    wrong("Pruning", does, *says)(lambda folder: prune(folder, *arguments.split()))


def case_of_words(does: str, words: str, *says: str) -> None:
    """Add a case of an experiment that cannot be pruned."""
    case(f"`prune.py {words},...`: {does}", f"{words},trunk=vits14,data=vtab/eurosat", *says)


def case_of_file(does: str, content: object, *says: str) -> None:
    """Add a case of a file of importances that an experiment cannot use."""

    def act(folder: Path) -> None:
        (folder / "importance.json").write_text(content if isinstance(content, str) else json.dumps(content))
        main_train([f"{WORDS},importance={folder / 'importance.json'},prompt_share=0.5", "--dry-run"])

    wrong("Pruning", f"`importance=FILE`: {does}", *says)(act)


case_of_words("a method without prompts", "method=lora", "no prompts to prune", "method=e2vpt")
case_of_words("shallow prompts", "method=vpt_shallow", "are shallow", "pruning is for deep ones")
case_of_words("gated prompts", "method=gatevpt", "are gated", "pruning is for deep ones")
case_of_words(
    "another number of prompts in guided blocks",
    "method=davpt,prompts=20,guided_prompts=7",
    "the same number",
    "num_prompts=20",
)
case_of_words("a cycle with a split", "method=e2vpt,split=final", "omit split=")
case("`prune.py FILE.py`: a cycle of a config file", CAMVID, "a cycle is a plan of words", "one step at a time")
case("`prune.py --grid lr=...`: an option of plans", f"{WORDS} --grid lr=1e-3,1e-2", "--grid is for plans", "lr=1e-3")
case("`prune.py --methods lora`: an option of plans", f"{WORDS} --methods lora", "--methods is for plans", "the words")
case("`prune.py --seeds 3` without `--test`", f"{WORDS} --seeds 3", "--seeds needs --test")
case("`prune.py --out` without a checkpoint", f"{WORDS} --out p.py", "--out is for one step", "CHECKPOINT")
case("`prune.py --prompt-share 1`: all of them", f"{WORDS} --prompt-share 1", "expected a number of at least 0")
case("`prune.py --prompt-share 0.99` of 20", f"{WORDS} --prompt-share 0.99", "must be at least 0 and leave one")
case(
    "`prune.py --segments 7`",
    f"{WORDS} epoch_1.pth --out p.py --segments 7",
    "7 do not divide the ViT's width of 384",
    "E2VPT takes 16",
)
case("`prune.py --images 999` of 4", f"{WORDS} e.pth --out p.py --images 999", "must be 1 to 4", "got 999")
case("`prune.py --launcher pytorch`", f"{WORDS} --launcher pytorch", "runs in one process", "tools/dist_train.sh")
case("`prune.py CONFIG CHECKPOINT` without `--out`", f"{WORDS} epoch_1.pth", "needs --out FILE.json", "FILE.py")
case(
    "`prune.py FILE.py CHECKPOINT --out FILE.json`",
    f"{CAMVID} epoch_1.pth --out p.json",
    "is a file, not words",
    "give --out FILE.py",
)
case("`prune.py CONFIG CHECKPOINT --gpus 0`", f"{WORDS} e.pth --out p.py --gpus 0", "unrecognized arguments: --gpus 0")
case(
    "`prune.py CONFIG CHECKPOINT` with several shares",
    f"{WORDS} epoch_1.pth --out p.py --prompt-share 0.3 0.5",
    "omit CHECKPOINT",
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

case_of_file("text", "importance", "not a JSON file", "davpt-seg prune CONFIG CHECKPOINT --out FILE.json")
case_of_file("another JSON file", [1, 2], "expected 'prompts', a list of finite numbers")
case_of_file("no number", '{"prompts": [NaN], "segments": [[1]]}', "expected 'prompts', a list of finite numbers")
case_of_file("prompts without segments", dict(prompts=[1, 2], segments=[[1]]), "for each prompt, all equally long")
case_of_file("of other prompts", dict(prompts=[1, 2], segments=[[1, 2]] * 2), "importances of 2 prompts", "has 20")


@wrong("Pruning", "`train.py ...,prompt_share=0.5` without `importance=`", "prompt_share=0.5: add importance=FILE")
def _(folder: Path) -> None:
    main_train([f"{WORDS},prompt_share=0.5", "--dry-run"])


@wrong("Pruning", "`train.py ... --importance` of a method without prompts", "no prompts to prune")
def _(folder: Path) -> None:
    with mock.patch.dict(os.environ, VTAB_ROOT=str(write_vtab(folder, "eurosat"))):
        main_train(["method=lora,trunk=vits14,data=vtab/eurosat", "--importance", "--work-dir", str(folder)])


@wrong("Pruning", "a plan that ranks by another name", "rank_by=size: expected one of masks, segments")
def _(folder: Path) -> None:
    own = dict(method="e2vpt", importance={}, rank_by="size", grid=dict(prompt_share=[0.5]))
    plan = dict(tasks=["vtab/eurosat"], trunks=["vits14"], methods=[dict(mine=own)])
    (folder / "plan.yaml").write_text(json.dumps(plan))
    with mock.patch.dict(os.environ, VTAB_ROOT=str(write_vtab(folder, "eurosat"))):
        main_benchmark([str(folder / "plan.yaml"), "--dry-run"])


@wrong("Pruning", "`prune.py` without a validation image", "no image in", "val200.txt")
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
