"""Command lines: options, their values, and ``--cfg-options``, changed."""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from davpt_seg.cli import main
from davpt_seg.experiments.option_values import parsed_options

from ...recognition import write_vtab
from ..judge import Fuzz, Wrong
from ..mutate import changed_list

WORDS = "method=davpt,head=linear,trunk=vits14,data=camvid_168x224"
OPTIONS = [
    "train_dataloader.batch_size=4",
    "model.backbone.prompts.num_prompts=7",
    "model.backbone.guidance.blocks=[10,11]",
    "optim_wrapper.optimizer.betas=(0.9,0.99)",
    "default_hooks.logger.interval=5",
    "custom_hooks.0.log_stats=True",
    "model.decode_head.loss_decode={'type': 'CrossEntropyLoss', 'loss_weight': 0.5}",
    "randomness.seed=3",
]
# Arguments that may change, and those that stay, so that nothing is trained.
COMMANDS: list[tuple[list[str], list[str]]] = [
    (["train", WORDS, "--work-dir", "w", "--amp", "--cfg-options", *OPTIONS], ["--print-config"]),
    (["train", WORDS, "--cfg-options", *OPTIONS[:3]], ["--print-config"]),
    (["test", WORDS, "w/iter_1.pth", "--mode", "slide", "--cfg-options", *OPTIONS[3:6]], ["--print-config"]),
    (["count", "method=lora,head=linear,trunk=vits14,data=camvid_crop112", "--cfg-options", OPTIONS[0]], []),
    (
        ["benchmark", "cifar10_1k", "--methods", "linear", "bias", "--seeds", "2", "--grid", "lr=1e-3,1e-2", "--set"]
        + ["epochs=3", "image_size=56", "--tasks", "vtab/cifar10_1k", "--jobs", "2", "--threads", "1"],
        ["--command", "true", "--dry-run"],
    ),
    (
        ["benchmark", "--tasks", "vtab/dmlab", "--trunks", "vits14", "--methods", "davpt", "--grid", "lr=1e-4:1e-2"]
        + ["--sampler", "tpe", "--trials", "3", "--gpus", "0,1", "--seeds", "0", "3", "--work-dir", "w"],
        ["--command", "true", "--dry-run"],
    ),
    (["check-dataset", "--vtab", "vtab", "dmlab", "--workers", "2", "--show", "3", "--no-classes"], ["--fast"]),
    (["configs", "camvid"], []),
    (["mapping", "w"], []),
    (["predict", WORDS, "w/iter_1.pth", "image.png", "--out", "out", "--cfg-options", OPTIONS[0]], ["--device", "cpu"]),
]


def use(arguments: Sequence[str]) -> None:
    """Pass a command line to ``davpt-seg``; if it prints a config, look for the options in it.

    Raises:
        Wrong: an accepted option is not in the config.
        ValueError: the command reports an error, and ends with status 1.
    """
    said = io.StringIO()
    status: Any = 0
    with contextlib.redirect_stdout(said):
        try:
            status = main(arguments)
        except SystemExit as error:
            if error.code not in (0, None):
                raise
    if status:
        raise ValueError(said.getvalue())
    if "--print-config" in arguments and not {"-h", "--help"} & set(arguments):
        _check_options(said.getvalue(), arguments)


def _check_options(printed: str, arguments: Sequence[str]) -> None:
    cfg = Config.fromstring(printed, ".py")
    typed: list[str] = []
    taking = False
    for argument in arguments:
        if argument.startswith("--"):
            taking = "--cfg-options".startswith(argument.partition("=")[0]) and len(argument) > 3
        elif taking:
            typed.append(argument)
    for key, value in parsed_options(typed).items():
        node: Any = cfg
        for part in key.split("."):
            node = node[int(part)] if isinstance(node, (list, tuple)) else node[part]
        same = {**node, **value} == node if isinstance(value, dict) else node == value
        if not same:
            raise Wrong(f"{key} is {node!r} in the config, not {value!r}")


def fuzz(fuzz: Fuzz, folder: Path) -> None:
    """Judge changed command lines, and a few right ones, in a separate folder."""
    write_vtab(folder / "vtab", "dmlab")
    (folder / "vtab" / "cifar10_1k").mkdir()
    before = Path.cwd()
    root = os.environ.get("VTAB_ROOT")
    os.environ["VTAB_ROOT"] = str(folder / "vtab")
    os.chdir(folder)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for draw in fuzz.draws():
                (command, *typed), kept = draw.choice(COMMANDS)
                for _ in range(draw.choice([0, 1, 1, 2])):
                    typed = changed_list(typed, draw)
                arguments = [command, *typed, *kept]
                fuzz.judge(arguments, lambda arguments=arguments: use(arguments), _names(arguments))
    finally:
        os.chdir(before)
        os.environ.pop("VTAB_ROOT")
        os.environ.update({} if root is None else {"VTAB_ROOT": root})


def _names(arguments: Sequence[str]) -> set[str]:
    pieces = {piece for argument in arguments for piece in (argument, *argument.partition("=")[::2])}
    pieces |= {word for piece in pieces for word in piece.replace(",", " ").replace("=", " ").split()}
    return {text for piece in pieces for text in (piece[:60], repr(piece)[1:60])} | {
        "required",
        "expected",
        "unrecognized",
        "''",
    }
