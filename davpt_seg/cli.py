"""The console command: ``davpt-seg COMMAND ...``, the same as ``python -m davpt_seg COMMAND ...``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Callable, NamedTuple, NoReturn, Optional

from . import __version__
from .errors import nearest
from .packages import NEEDED, install, needed
from .terminal.ending import command


class Command(NamedTuple):
    """A subcommand: a function of its arguments, imported on call, and a line of help."""

    function: str
    help: str


# A new subcommand is one line here: the place of its ``main(argv)``, and its help.
COMMANDS = {
    "train": Command("davpt_seg.commands.train:main_train", "train a config, resume a training, or only check it"),
    "test": Command("davpt_seg.commands.test:main_test", "test a checkpoint: IoU per class, accuracy or COCO's AP"),
    "predict": Command(
        "davpt_seg.commands.predict:main_predict", "apply a segmentor or detector to images: label maps or boxes"
    ),
    "export": Command("davpt_seg.commands.export:main_export", "write an adapter folder, ONNX, .pt2 or a timm ViT"),
    "check-dataset": Command(
        "davpt_seg.commands.check_dataset:main_check_dataset", "check that a data set is complete and intact"
    ),
    "new-dataset": Command(
        "davpt_seg.commands.new_dataset:main_new_dataset", "prepare a folder of your images and masks for training"
    ),
    "benchmark": Command("davpt_seg.benchmark.command:main_benchmark", "run a plan of many trainings into one table"),
    "prune": Command(
        "davpt_seg.commands.prune:main_prune", "E2VPT's pruning: remove the least important of trained prompts"
    ),
    "count": Command("davpt_seg.commands.count:main_count", "count the parameters that configs train"),
    "mapping": Command("davpt_seg.commands.mapping:main_mapping", "which classes shared a prompt, from start to end"),
    "explore": Command(
        "davpt_seg.commands.explore:main_explore", "show in a browser what the prompts of trained models attend to"
    ),
    "configs": Command("davpt_seg.commands.configs:main_configs", "list the configs of this package"),
    "info": Command("davpt_seg.commands.info:main_info", "versions, the OpenMMLab stack, devices, what is missing"),
}

HELP = """\
usage: davpt-seg COMMAND [ARGUMENT ...]

Train and test frozen Vision Transformers with learned prompts or adapters, for segmentation, classification and
detection.

commands:
{commands}

'davpt-seg COMMAND --help' lists a command's arguments. CONFIG is a file, a name from davpt-seg configs, or
the words of an experiment (method=bias,trunk=vits):

  davpt-seg configs ade20k                                   # list configs
  davpt-seg train davpt/upernet_vitl_ade20k --dry-run        # check the data, show what would be trained
  davpt-seg train davpt/upernet_vitl_ade20k --amp            # checkpoints go to work_dirs/davpt/upernet_vitl_ade20k
  davpt-seg test  davpt/upernet_vitl_ade20k work_dirs/davpt/upernet_vitl_ade20k/iter_160000.pth
"""


def main(argv: Optional[Sequence[str]] = None) -> Optional[int]:
    """Run the command line and return the exit status; ``argv`` defaults to ``sys.argv[1:]``.

    Raises:
        SystemExit: the command is missing or unknown, ended with an error, or needs a package that is not installed.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments:
        _refuse(f"a command is missing: {', '.join(COMMANDS)}")
    if arguments[0] in ("-h", "--help", "help"):
        print(_help(), end="")
        raise SystemExit(0)
    if arguments[0] == "--version":
        print(f"davpt-seg {__version__}")
        return 0
    name, *rest = arguments
    if name not in COMMANDS:
        _refuse(f"{name!r} is not a command; {nearest(name, COMMANDS)}")
    sys.argv[0] = f"davpt-seg {name}"  # what argparse calls the program in usage and errors
    return run(name, rest)


def _refuse(message: str) -> NoReturn:
    print(f"davpt-seg: error: {message}. 'davpt-seg --help' has examples", file=sys.stderr)
    raise SystemExit(2)


def run(name: str, arguments: Optional[Sequence[str]] = None) -> Optional[int]:
    """Run a command; ``arguments`` default to ``sys.argv[1:]``. ``main`` and the scripts of ``tools/`` call this.

    Raises:
        SystemExit: the command ended with an error, or needs a package that is not installed.
    """
    try:
        return command(lambda argv: load(COMMANDS[name])(argv))(arguments)  # errors of the import, too
    except ImportError as error:
        package = needed(error)
        if package is None:
            raise
        raise SystemExit(
            f"davpt-seg: this command needs {NEEDED[package]}, which is not installed. Install it: "
            f"{install(package)}; 'davpt-seg info' lists what is there"
        ) from None


def load(command: Command) -> Callable[[Optional[Sequence[str]]], Optional[int]]:
    """Import a command's function."""
    module, _, function = command.function.partition(":")
    return getattr(import_module(module), function)


def _help() -> str:
    width = max(map(len, COMMANDS))
    return HELP.format(commands="\n".join(f"  {name:<{width}}  {each.help}" for name, each in COMMANDS.items()))
