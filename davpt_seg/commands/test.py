"""Test a checkpoint: ``davpt-seg test``, ``tools/test.py``."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

from ..core.adapter_folder.places import check_adapter_folder, is_folder
from ..errors import InputError, some
from ..terminal.ending import command
from ..terminal.program import for_help
from .config_argument import check_data, config_parser, load_config

if TYPE_CHECKING:
    from mmengine.config import Config
    from mmengine.runner import Runner

#: What a model trains with, and an adapter folder omits.
OF_TRAINING = ("backbone.guidance.", "auxiliary_head.")

DRAWS = "; davpt-seg predict CHECKPOINT IMAGES draws boxes and writes them as JSON"

EXAMPLES = """\
{test} davpt/upernet_vitl_ade20k work_dirs/davpt/upernet_vitl_ade20k/iter_160000.pth
{test} davpt/upernet_vitl_ade20k iter_160000.pth --tta --json scores.json
{test} davpt/upernet_vitl_ade20k iter_160000.pth --out labels --show-dir painted"""


@command
def main_test(argv: Optional[Sequence[str]] = None) -> None:
    """Test a checkpoint of a segmentor, classifier or detector.

    Raises:
        SystemExit: 2 for wrong input, reported before the test starts.
    """
    args = _parser().parse_args(argv)
    from ..training.batches import check_numbers
    from ..training.build_training import build_evaluation
    from ..training.check_model import check_model
    from ..training.classes import check_one_class, check_order
    from ..training.first_process import disconnect
    from ..training.refusals import advise_check, step
    from ..training.runner import CommandRunner
    from ..training.scores import draw_matrix, write_scores
    from ..training.start import check_work_dir
    from ..training.status_line import status_line
    from ..training.summary import evaluation
    from ..training.tasks import SEGMENTATION, task_of
    from ..training.trained_checkpoint import GIVE_TRAINED, mismatch, named
    from ..training.watching import without_backends
    from ..trust.trunk_source import set_source

    cfg = load_config(args)
    backbone = cfg.model.get("backbone") or {}  # which test-time augmentation moves
    if args.trunk:
        set_source(backbone, args.trunk)
    check_work_dir(cfg.work_dir)
    without_backends(cfg)  # a config that a training left names its TensorBoard or W&B run
    _change_test(cfg, args)
    check_adapter_folder(args.checkpoint)
    # Before the model is built; it is read again, with the hooks' part in it.
    trained = {} if is_folder(args.checkpoint) else _meta(cfg, args.checkpoint)
    check_numbers(cfg)
    check_model(cfg)
    check_data(cfg, ("test",), args.launcher)
    try:
        check_one_class(cfg)
        with step("the model or the hooks cannot be built (model, default_hooks, custom_hooks)"):
            runner = CommandRunner.from_cfg(cfg)
        build_evaluation(runner, "test", args.config)
        runner.call_hook("before_run")  # EMAHook makes its copy there, and loading a checkpoint asks for it
        if is_folder(args.checkpoint):
            _put_adapter(runner, args.checkpoint, backbone)
        else:
            check_order(runner, trained.get("dataset_meta"), f"checkpoint {args.checkpoint!r}")
            with named(args.checkpoint):
                runner.load_checkpoint(args.checkpoint, strict=True)  # MMEngine's own load_from forgives missing keys
    except RuntimeError as error:
        config = f"{args.config} with these --cfg-options" if args.cfg_options else args.config
        raise InputError(f"{mismatch(error, args.checkpoint, config)}. {GIVE_TRAINED}") from error
    runner.logger.info(evaluation(runner, args.config, args.checkpoint))
    with advise_check(args.config), status_line(runner):
        metrics = runner.test()
    if task_of(cfg) != SEGMENTATION:  # whose metric writes them
        if args.confusion_matrix:
            draw_matrix(runner, metrics, args.confusion_matrix)
        if args.json:
            write_scores(runner, metrics, args.json, args.config, args.checkpoint, trained)
    disconnect(args.launcher)


def _parser() -> argparse.ArgumentParser:
    parser = config_parser(
        "Test a checkpoint: IoU and accuracy per class and their means, a classifier's accuracy, or COCO's average "
        "precision of boxes and masks, per class too.",
        for_help(EXAMPLES),
    )
    parser.add_argument("checkpoint", help="a .pth file that a training wrote, or an adapter folder")
    parser.add_argument(
        "--trunk",
        metavar="FILE|pretrained",
        help="weights of the frozen ViT, if CHECKPOINT does not hold them; default: what CONFIG names",
    )
    parser.add_argument("--amp", action="store_true", help="predict in mixed precision")
    parser.add_argument("--tta", action="store_true", help="test-time augmentation: several scales and flips")
    parser.add_argument("--out", metavar="DIR", help="write predicted label maps (PNG) here")
    parser.add_argument("--show-dir", metavar="DIR", help="paint predictions over the images and write them here")
    parser.add_argument(
        "--mode", choices=["slide", "whole"], help="sliding window or whole image; default: the config's"
    )
    parser.add_argument("--json", metavar="FILE", help="write all scores, per class too, and the confusion matrix here")
    parser.add_argument("--confusion-matrix", metavar="FILE", help="draw the confusion matrix here (.png, .pdf, .svg)")
    return parser


def _change_test(cfg: Config, args: argparse.Namespace) -> None:
    """Make a test do what the options ask for.

    Raises:
        InputError: an option that the config rules out, or a file that could not be written.
    """
    from ..training import testing
    from ..training.tasks import CLASSIFICATION, DETECTION, PREDICTS, SEGMENTATION, task_of

    if args.amp:
        cfg.test_cfg.fp16 = True
    task = task_of(cfg)
    if task != SEGMENTATION:
        refused = ("mode", "out", "show_dir", *(("tta", "confusion_matrix") if task == DETECTION else ()))
        for option in refused:
            if getattr(args, option):
                use = "segmentation" if option != "confusion_matrix" else "segmentation and classification"
                advice = DRAWS if task == DETECTION and option in ("out", "show_dir") else ""
                raise InputError(f"--{option.replace('_', '-')} is for {use}, and this config {PREDICTS[task]}{advice}")
    if task == DETECTION:
        testing.check_files(None, args.json)
        testing.score_each_class(cfg)
        return
    if task == CLASSIFICATION:
        if args.tta:
            testing.use_tta(cfg)
        testing.check_files(args.confusion_matrix, args.json)
        if args.confusion_matrix:
            testing.add_evaluator(cfg, dict(type="ConfusionMatrix"))
        return
    if args.mode:
        testing.set_mode(cfg, args.mode)
    mode = (cfg.model.get("test_cfg") or {}).get("mode", "whole")
    if args.tta:
        testing.use_tta(cfg)
    if args.show_dir:
        testing.show_images(cfg, "--show-dir", args.show_dir)
    if args.out:
        testing.write_label_maps(cfg, "--out", args.out)
    if args.out and args.show_dir and Path(args.out).resolve() == Path(args.show_dir).resolve():
        raise InputError(f"--out and --show-dir are both {args.out!r}, but their files have the same names; name two")
    if args.confusion_matrix or args.json:
        about = dict(config=args.config, checkpoint=args.checkpoint, mode=mode, tta=args.tta)
        testing.add_report(cfg, args.confusion_matrix, args.json, about)


def _meta(cfg: Config, path: str) -> Mapping[str, Any]:
    """Check the checkpoint to test, and return what it holds besides weights."""
    from ..datasets.pipelines import step_name
    from ..training.trained_checkpoint import read_checkpoint
    from ..trust.checkpoints import require_averaged

    checkpoint = read_checkpoint(path)
    if any(step_name(hook) == "EMAHook" for hook in cfg.get("custom_hooks") or ()):
        require_averaged(checkpoint, path)
    return checkpoint.get("meta") or {}


def _put_adapter(runner: Runner, folder: str, backbone: Mapping[str, Any]) -> None:
    """Give the model of a test what an adapter folder holds, on the ViT that the test's config names.

    Raises:
        InputError: a damaged folder, one of another ViT, or one that is not of the config.
    """
    from ..apis.adapters import load_adapter
    from ..engine.guided import bare_model
    from ..training.alike import difference
    from ..training.classes import check_order

    model = bare_model(runner)
    model = getattr(model, "module", model)  # of test-time augmentation
    loaded = load_adapter(folder, "pretrained" if backbone.get("pretrained") else backbone.get("weights"))
    check_order(runner, loaded.dataset_meta, f"adapter folder {folder!r}")
    found = model.load_state_dict(loaded.state_dict(), strict=False)
    missing = [name for name in found.missing_keys if not name.startswith(OF_TRAINING)]
    if missing or found.unexpected_keys:
        raise InputError(
            f"adapter folder {folder!r} is not of this config; not in both: {some([*missing, *found.unexpected_keys])}"
        )
    if reason := difference(model, loaded):
        raise InputError(
            f"adapter folder {folder!r} is not of this config: with the same parameters, {reason}; give the config "
            "that was trained"
        )
