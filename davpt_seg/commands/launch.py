"""Training and testing from the command line, for configs of mmseg and of mmpretrain."""

from __future__ import annotations

import argparse
import logging
import os
import os.path as osp
from collections.abc import Mapping, Sequence
from typing import Any, Optional

from mmengine.config import Config
from mmengine.runner import Runner

from .. import compat
from ..errors import DIVERGED, DivergedError, InputError
from ..experiments.option_values import OptionsAction
from ..experiments.words import EXAMPLES, help_text
from ..training.build_training import build_evaluation, build_training, step
from ..training.check_splits import check_splits, use_data_check
from ..training.classes import check_one_class
from ..training.dry_run import dry_run
from ..training.first_process import disconnect, first_process_alone
from ..training.resume import last_checkpoint
from ..training.scores import draw_matrix, write_scores
from ..training.start import stop_where_diverged, use_resume
from ..training.sync_bn import replace_sync_bn, single_process_or_cpu
from ..training.testing import change_test, check_files, is_recognition
from ..training.trained_checkpoint import mismatch, read_checkpoint
from ..training.void import check_void
from ..training.weights import check_weights
from ..trust.checkpoints import require_averaged
from .check_dataset import advise_check
from .config_argument import read_config

logger = logging.getLogger("davpt_seg")


def main_train(argv: Optional[Sequence[str]] = None) -> None:
    """Train a config: ``tools/train.py CONFIG``."""
    parser = _parser("Train a config, validate as it says and keep checkpoints and logs in the work dir.")
    parser.add_argument(
        "--resume",
        nargs="?",
        const="auto",
        metavar="CHECKPOINT",
        help="go on from the work dir's last checkpoint (or from the one given), with its optimizer and mapping",
    )
    parser.add_argument("--amp", action="store_true", help="mixed precision: float16 on CUDA, bfloat16 elsewhere")
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="check the data, build everything, run one forward and backward pass, score one batch of validation and "
        "test, print what is trained, and stop",
    )
    parser.add_argument(
        "--test",
        metavar="FILE",
        help="when done, test the trained model, once, and write its scores here (JSON)",
    )
    args = parser.parse_args(argv)
    cfg = load_config(parser, args)
    _prepare_training(parser, cfg, args)
    try:
        if args.dry_run:
            dry_run(cfg, args.config)
            return
        runner = build_training(cfg, args.config, ("val", "test") if args.test else ("val",))
    except InputError as error:
        parser.error(str(error))
    try:
        with advise_check(args.config):
            runner.train()
    except DivergedError as error:
        runner.logger.error(str(error))
        raise SystemExit(DIVERGED) from error
    except InputError as error:
        parser.error(str(error))
    if args.test:
        write_scores(runner, runner.test(), args.test, args.config)
    runner.logger.info(
        f"Done. Checkpoints and logs: {runner.work_dir}. Next: python tools/test.py {args.config} "
        f"{last_checkpoint(runner.work_dir) or 'CHECKPOINT'}"
    )
    disconnect(args.launcher)


def _prepare_training(parser: argparse.ArgumentParser, cfg: Config, args: argparse.Namespace) -> None:
    """Make a config do what the options say; end with the parser's error where the training could not go through."""
    try:
        check_files(None, args.test)
        if args.test and any(hook.get("type") == "EMAHook" for hook in cfg.get("custom_hooks") or ()):
            raise InputError(
                "--test would test the weights that EMAHook averages, not their average: leave it out, and give the "
                "checkpoint to tools/test.py"
            )
        if args.test and cfg.get("test_dataloader") is None:
            raise InputError("--test: this config has no test_dataloader to test on")
        if args.amp:
            use_amp(cfg)
    except InputError as error:
        parser.error(str(error))
    stop_where_diverged(cfg)
    if args.resume or cfg.get("resume"):
        try:
            use_resume(cfg, args.resume or cfg.get("load_from") or "auto")
        except InputError as error:
            parser.error(f"--resume: {error}")
    check_data(parser, cfg, ("train", "val", "test") if args.test else ("train", "val"), args.launcher)
    try:
        check_weights(cfg)
    except InputError as error:
        parser.error(str(error))


def main_test(argv: Optional[Sequence[str]] = None) -> None:
    """Test a checkpoint: ``tools/test.py CONFIG CHECKPOINT``."""
    parser = _parser("Test a checkpoint: IoU and accuracy per class, and their means; or a classifier's accuracy.")
    parser.add_argument("checkpoint", help="a .pth file that tools/train.py wrote")
    parser.add_argument("--tta", action="store_true", help="test-time augmentation: several scales and flips")
    parser.add_argument("--out", metavar="DIR", help="write predicted label maps (PNG) here")
    parser.add_argument("--show-dir", metavar="DIR", help="paint predictions over the images and write them here")
    parser.add_argument(
        "--mode", choices=["slide", "whole"], help="sliding window or whole image; default: the config's"
    )
    parser.add_argument("--json", metavar="FILE", help="write all scores, per class too, and the confusion matrix here")
    parser.add_argument("--confusion-matrix", metavar="FILE", help="draw the confusion matrix here (.png, .pdf, .svg)")
    args = parser.parse_args(argv)
    cfg = load_config(parser, args)
    try:
        change_test(cfg, args)
        # Before the model is built; it is read again, with the hooks' part in it.
        trained = _meta(cfg, args.checkpoint)
    except InputError as error:
        parser.error(str(error))
    check_data(parser, cfg, ("test",), args.launcher)
    try:
        check_one_class(cfg)
        with step("the model or the hooks cannot be built (model, default_hooks, custom_hooks)"):
            runner = Runner.from_cfg(cfg)
        build_evaluation(runner, "test", args.config)
        runner.call_hook("before_run")  # EMAHook makes its copy there, and loading a checkpoint asks for it
        runner.load_checkpoint(args.checkpoint, strict=True)  # MMEngine's own load_from forgives missing keys
    except InputError as error:
        parser.error(str(error))
    except RuntimeError as error:
        parser.error(mismatch(error, args.checkpoint, f"{args.config} with these --cfg-options"))
    try:
        with advise_check(args.config):
            metrics = runner.test()
    except InputError as error:
        parser.error(str(error))
    if is_recognition(cfg):
        if args.confusion_matrix:
            draw_matrix(runner, metrics, args.confusion_matrix)
        if args.json:
            write_scores(runner, metrics, args.json, args.config, args.checkpoint, trained)
    disconnect(args.launcher)


def _parser(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=description, epilog=help_text(), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "config",
        help="a file, or a name that davpt-seg configs lists (davpt/upernet_vitl_ade20k), or the words of an "
        f"experiment ({'; '.join(f'{task}: {words}' for task, words in EXAMPLES.items())}), listed below",
    )
    parser.add_argument(
        "--work-dir", metavar="DIR", help="for checkpoints and logs; default work_dirs/<method>/<config>"
    )
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=OptionsAction,
        metavar="KEY=VALUE",
        help="change the config: train_dataloader.batch_size=4 model.backbone.prompts.num_prompts=10 ...",
    )
    parser.add_argument(
        "--print-config", action="store_true", help="print the whole config, as a config file, and stop"
    )
    parser.add_argument(
        "--launcher", choices=["none", "pytorch", "slurm", "mpi"], default="none", help="how processes were started"
    )
    parser.add_argument("--local_rank", "--local-rank", type=int, default=0, help=argparse.SUPPRESS)
    return parser


def load_config(parser: argparse.ArgumentParser, args: argparse.Namespace) -> Config:
    """Read a config, put the command line over it, and make it fit this machine."""
    os.environ.setdefault("LOCAL_RANK", str(args.local_rank))
    cfg = read_config(parser, args.config, args.cfg_options)
    if args.print_config:
        print(cfg.pretty_text, end="")
        parser.exit()
    if "model" not in cfg:
        parser.error(f"{args.config} has no model: is it an experiment, or a part of one?")
    cfg.launcher = args.launcher
    if args.work_dir:
        cfg.work_dir = args.work_dir
    elif not cfg.get("work_dir"):
        folder, name = osp.split(osp.splitext(osp.abspath(cfg.filename))[0])
        cfg.work_dir = osp.join("work_dirs", osp.basename(folder), name)
    for key in ("model", "train_dataloader", "val_dataloader", "test_dataloader"):
        value = cfg.get(key)
        if not isinstance(value, dict) and (key == "model" or value is not None):
            parser.error(f"{args.config}: {key} must be a dict, got {value!r}")
    if args.launcher == "pytorch" and "RANK" not in os.environ:
        parser.error("--launcher pytorch is for torchrun, which numbers processes: tools/dist_train.sh CONFIG GPUS")
    try:
        compat.prepare_cpu_ddp(cfg)
    except InputError as error:
        parser.error(str(error))
    keep_no_absent_workers(cfg)
    if single_process_or_cpu(cfg):
        replaced = replace_sync_bn(cfg.model)
        if replaced:
            logger.info("SyncBN -> BN in %d places: this is a CPU or a single process", replaced)
    return cfg


def keep_no_absent_workers(cfg: Config) -> None:
    """Make ``num_workers=0`` enough of a change: torch refuses ``persistent_workers`` beside it."""
    for split in ("train", "val", "test"):
        loader = cfg.get(f"{split}_dataloader")
        if loader and not loader.get("num_workers"):
            loader.pop("persistent_workers", None)


def use_amp(cfg: Config) -> None:
    """Switch the optimizer wrapper to mixed precision; of recognition, validation and test too."""
    import torch

    wanted = "AmpOptimWrapper" if torch.cuda.is_available() else "AutocastOptimWrapper"
    current = cfg.optim_wrapper.get("type", "OptimWrapper")
    if current not in ("OptimWrapper", wanted):
        raise InputError(f"--amp replaces optim_wrapper.type 'OptimWrapper', but the config has {current!r}")
    cfg.optim_wrapper.type = wanted
    if wanted == "AmpOptimWrapper":
        cfg.optim_wrapper.setdefault("loss_scale", "dynamic")
    if is_recognition(cfg):
        for loop in filter(None, (cfg.get("val_cfg"), cfg.get("test_cfg"))):
            loop.fp16 = True


def check_data(parser: argparse.ArgumentParser, cfg: Config, splits: Sequence[str], launcher: str = "none") -> None:
    """Check the data sets of a config before anything is built; end with the parser's error where one is not whole.

    Of several processes that a launcher started, the first one reads the files, and all end where it finds a problem.
    """
    try:
        settings = use_data_check(cfg)
        if not is_recognition(cfg):
            check_void(cfg)
    except InputError as error:
        parser.error(str(error))
    with first_process_alone(cfg, launcher) as first:
        for problem in check_splits(cfg, splits, settings) if first else ():
            parser.error(problem)


def _meta(cfg: Config, path: str) -> Mapping[str, Any]:
    """Check the checkpoint to test, and return what it holds besides weights."""
    checkpoint = read_checkpoint(path)
    if any(hook.get("type") == "EMAHook" for hook in cfg.get("custom_hooks") or ()):
        require_averaged(checkpoint, path)
    return checkpoint.get("meta") or {}
