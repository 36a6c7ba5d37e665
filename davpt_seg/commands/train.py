"""Train a config: ``davpt-seg train``, ``tools/train.py``."""

from __future__ import annotations

import argparse
import os.path as osp
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Optional

from ..errors import InputError
from ..runs.lock import check_free
from ..terminal.ending import command
from ..terminal.program import command_line, for_help, program
from .config_argument import check_data, config_parser, load_config

if TYPE_CHECKING:
    from mmengine.config import Config

EXAMPLES = """\
{train} davpt/upernet_vitl_ade20k --dry-run     # check the data, build everything, train nothing
{train} davpt/upernet_vitl_ade20k --amp           # train, in mixed precision
{train} davpt/upernet_vitl_ade20k --amp --resume  # after a stop: from the last checkpoint
{train} method=bias,trunk=vits,data=ade20k --cfg-options train_dataloader.batch_size=4"""


@command
def main_train(argv: Optional[Sequence[str]] = None) -> None:
    """Train a config, resume a training, or only check it.

    Raises:
        SystemExit: 2 for wrong input, reported before the training starts; 3 for a training that diverged; 130 for
            Ctrl-C, 143 for SIGTERM and 129 for SIGHUP, after a checkpoint.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    args = _parser().parse_args(arguments)
    with ExitStack() as held:
        with _before_training():
            from mmengine.dist import is_main_process

            from ..training.build_training import build_training
            from ..training.closing import closing
            from ..training.dry_run import dry_run
            from ..training.first_process import disconnect
            from ..training.interruption import interruptible
            from ..training.measure import measure_trained
            from ..training.refusals import advise_check
            from ..training.scores import write_scores
            from ..training.status_line import status_line
            from ..training.watching import closed
            from .work_dir import own_work_dir

            cfg = load_config(args)
            if not args.dry_run and args.launcher == "none":  # else before the first process starts
                check_free(Path(cfg.work_dir))
            _prepare(cfg, args)
            if args.dry_run:
                dry_run(cfg, args.config, arguments)
                return
            held.enter_context(own_work_dir(cfg, args.launcher))
            runner = build_training(cfg, args.config, ("val", "test") if args.test else ("val",))
        resuming = _resuming(arguments, args.resume, args.launcher)
        with advise_check(args.config), status_line(runner), closed(runner), interruptible(runner, resuming):
            runner.train()
            scores = runner.test() if args.test else {}
    if args.test:
        write_scores(runner, scores, args.test, args.config)
    written = osp.join(runner.work_dir, osp.basename(cfg.filename))  # with --cfg-options in it
    runner.logger.info(closing(runner, written if args.cfg_options else args.config, not args.test))
    first = is_main_process()
    disconnect(args.launcher)
    if args.importance and first:  # without the other processes, which need not wait for it
        measure_trained(runner, args.config)


@contextmanager
def _before_training() -> Iterator[None]:
    """Let Ctrl-C inside say that nothing was trained."""
    try:
        yield
    except KeyboardInterrupt as error:
        text = str(error) or "Interrupted before the first iteration: nothing was trained."
        raise KeyboardInterrupt(text) from error


def _resuming(arguments: Sequence[str], resumed: Optional[str] = None, launcher: str = "none") -> str:
    """Return the command that resumes a training.

    Args:
        arguments: those that the training was started with.
        resumed: value of ``--resume`` among them.
        launcher: what started the processes; its own command line is unknown here.
    """
    if launcher != "none":
        return "the command that started it, with --resume"
    kept = list(arguments)
    if "--resume" in kept:
        at = kept.index("--resume")
        given = kept[at + 1 : at + 2] == [resumed]
        del kept[at : at + 1 + given]
    kept = [each for each in kept if not each.startswith("--resume=")]
    return command_line("train", *kept, "--resume")


def _parser() -> argparse.ArgumentParser:
    parser = config_parser(
        "Train a config, validate at its intervals and keep checkpoints and logs in the work dir.",
        for_help(EXAMPLES),
    )
    parser.add_argument(
        "--resume",
        nargs="?",
        const="auto",
        metavar="CHECKPOINT",
        help="resume from the work dir's last checkpoint (or from the one given), with its optimizer and mapping",
    )
    parser.add_argument("--amp", action="store_true", help="mixed precision: float16 on CUDA, bfloat16 elsewhere")
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="check the data, build everything, run one forward and backward pass, score one batch of validation and "
        "test, print what is trained, and stop",
    )
    parser.add_argument(
        "--tensorboard", action="store_true", help="write TensorBoard's files into the work dir, too (docs/watching.md)"
    )
    parser.add_argument(
        "--wandb",
        nargs="?",
        const="davpt_seg",
        metavar="PROJECT",
        help="log to Weights & Biases, too; WANDB_MODE=offline needs no login. Default project: davpt_seg",
    )
    parser.add_argument(
        "--test",
        metavar="FILE",
        help="when done, test the trained model, once, and write its scores here (JSON)",
    )
    parser.add_argument(
        "--importance",
        action="store_true",
        help="when done, measure the importance of the prompts on the validation images and write importance.json into "
        "the work dir, for the word importance=FILE (docs/pruning.md)",
    )
    return parser


def _prepare(cfg: Config, args: argparse.Namespace) -> None:
    """Make a config do what the options say, and check its data and weights.

    Raises:
        InputError: the training could not run to its end.
    """
    from ..datasets.pipelines import step_name
    from ..experiments.shares import check_prunable
    from ..training.batches import check_numbers
    from ..training.check_model import check_model
    from ..training.measure import images_to_measure
    from ..training.start import (
        check_weights,
        check_work_dir,
        stop_where_diverged,
        use_resume,
        warn_of_normalisation,
    )
    from ..training.testing import check_files
    from ..training.watching import watch

    check_work_dir(cfg.work_dir)
    check_files(None, args.test)
    if args.importance:
        check_prunable(cfg, args.config)
    if (args.test or args.importance) and any(step_name(hook) == "EMAHook" for hook in cfg.get("custom_hooks") or ()):
        option = "--test would test" if args.test else "--importance would measure"
        raise InputError(
            f"{option} the weights that EMAHook averages, not their average: omit it, and give the checkpoint to "
            f"{program('test' if args.test else 'prune')}"
        )
    if args.test and cfg.get("test_dataloader") is None:
        raise InputError("--test: this config has no test_dataloader to test on")
    if args.amp:
        _use_amp(cfg)
    stop_where_diverged(cfg)
    if args.resume or cfg.get("resume"):
        try:
            use_resume(cfg, args.resume or cfg.get("load_from") or "auto")
        except InputError as error:
            raise InputError(f"--resume: {error}") from error
    watch(cfg, args.tensorboard, args.wandb)
    check_numbers(cfg)
    check_model(cfg)
    check_data(cfg, ("train", "val", "test") if args.test else ("train", "val"), args.launcher)
    if args.importance:
        images_to_measure(cfg, "val", None, args.config)
    check_weights(cfg)
    warn_of_normalisation(cfg)


def _use_amp(cfg: Config) -> None:
    """Switch the optimizer wrapper to mixed precision; of a classifier, validation and test too."""
    import torch

    from ..training.testing import is_recognition

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
