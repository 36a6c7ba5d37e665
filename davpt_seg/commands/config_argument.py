"""CONFIG on a command line: its options, and how it is read. Heavy modules are imported when a config is read."""

from __future__ import annotations

import argparse
import logging
import os
import os.path as osp
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Optional

from ..errors import InputError
from ..experiments.option_values import HELP, OptionsAction
from ..experiments.words import EXAMPLES, help_text
from ..terminal.parser import CommandParser

if TYPE_CHECKING:
    from mmengine.config import Config

logger = logging.getLogger("davpt_seg")


def config_parser(description: str, examples: str) -> CommandParser:
    """Return a parser with CONFIG and the options that training and testing share."""
    parser = CommandParser(
        description=description,
        examples=examples,
        epilog=help_text(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "config",
        help="a file, or a name that davpt-seg configs lists (davpt/upernet_vitl_ade20k), or the words of an "
        f"experiment ({'; '.join(f'{task}: {words}' for task, words in EXAMPLES.items())}), listed below",
    )
    parser.add_argument(
        "--work-dir", metavar="DIR", help="for checkpoints and logs; default work_dirs/<method>/<config>"
    )
    add_cfg_options(parser, "train_dataloader.batch_size=4 model.backbone.prompts.num_prompts=10 ...")
    parser.add_argument("--print-config", action="store_true", help="print the complete config, as a file, and stop")
    parser.add_argument(
        "--launcher", choices=["none", "pytorch", "slurm", "mpi"], default="none", help="how processes were started"
    )
    parser.add_argument("--local_rank", "--local-rank", type=int, default=0, help=argparse.SUPPRESS)
    return parser


def add_cfg_options(parser: argparse.ArgumentParser, examples: str) -> None:
    """Add ``--cfg-options``."""
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=OptionsAction,
        metavar="KEY=VALUE",
        help=f"change the config: {examples}; {HELP}",
    )


def read_config(config: str, options: Optional[Mapping[str, Any]] = None) -> Config:
    """Read or compose a config and put ``--cfg-options`` over it.

    Raises:
        InputError: it cannot be read, or an option does not fit.
    """
    from ..compat import format_assignments_once, log_through_mmengine
    from ..experiments.compose import config_of
    from ..experiments.options import put_options

    log_through_mmengine()
    format_assignments_once()
    cfg = config_of(config)
    put_options(cfg, options or {})
    for key in ("model", "train_dataloader", "val_dataloader", "test_dataloader"):
        value = cfg.get(key)
        if key in cfg and not isinstance(value, dict) and (key == "model" or value is not None):
            raise InputError(f"{config}: {key} must be a dict, got {value!r}")
    return cfg


def load_config(args: argparse.Namespace) -> Config:
    """Read a config, put the command line over it, and make it fit this machine.

    Raises:
        InputError: it cannot be read, or holds no experiment.
        SystemExit: ``--print-config`` has printed it.
    """
    import torch

    from ..compat import prepare_cpu_ddp, replace_sync_bn
    from ..training.check_model import check_dicts

    os.environ.setdefault("LOCAL_RANK", str(args.local_rank))
    cfg = read_config(args.config, args.cfg_options)
    if args.print_config:
        print(cfg.pretty_text, end="")
        raise SystemExit(0)
    if "model" not in cfg:
        raise InputError(f"{args.config} has no model: is it an experiment, or a part of one?")
    check_dicts(cfg)
    cfg.launcher = args.launcher
    if args.work_dir is not None and not args.work_dir.strip():
        raise InputError("--work-dir is empty; is its variable set?")
    if args.work_dir:
        cfg.work_dir = args.work_dir
    elif not cfg.get("work_dir"):
        folder, name = osp.split(osp.splitext(osp.abspath(cfg.filename))[0])
        cfg.work_dir = osp.join("work_dirs", osp.basename(folder), name)
    if args.launcher == "pytorch" and not {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"} <= set(os.environ):
        raise InputError("--launcher pytorch is for torchrun, which numbers processes: tools/dist_train.sh CONFIG GPUS")
    if args.launcher == "mpi" and "OMPI_COMM_WORLD_LOCAL_RANK" not in os.environ:
        raise InputError(
            "--launcher mpi is for Open MPI's mpirun, which numbers processes; docs/launching.md has others"
        )
    prepare_cpu_ddp(cfg)
    for split in ("train", "val", "test"):
        loader = cfg.get(f"{split}_dataloader")
        if loader and not loader.get("num_workers"):  # num_workers=0 alone: torch refuses the other one beside it
            loader.pop("persistent_workers", None)
    if cfg.launcher == "none" or not torch.cuda.is_available():
        replaced = replace_sync_bn(cfg.model)
        if replaced:
            logger.info("SyncBN -> BN in %d places: this is a CPU or a single process", replaced)
    return cfg


def check_data(cfg: Config, splits: Sequence[str], launcher: str = "none") -> None:
    """Check the data sets of a config before anything is built.

    Of several processes that a launcher started, the first one reads the files, and all end where it finds a problem.

    Raises:
        InputError: the first problem.
    """
    from ..training.check_splits import check_splits, use_data_check
    from ..training.first_process import first_process_alone
    from ..training.testing import is_recognition
    from ..training.void import check_void

    settings = use_data_check(cfg)
    if not is_recognition(cfg):
        check_void(cfg)
    with first_process_alone(cfg, launcher) as first:
        for problem in check_splits(cfg, splits, settings) if first else ():
            raise InputError(problem)
