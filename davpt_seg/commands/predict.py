"""Predict images: ``davpt-seg predict``, ``tools/predict.py``."""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

from ..core.adapter_folder.places import is_folder
from ..errors import InputError
from ..experiments.catalog import CONFIGS
from ..image_names import IMAGE_SUFFIXES
from ..terminal.ending import command
from ..terminal.parser import CommandParser
from ..terminal.program import for_help
from .config_argument import add_cfg_options, load_config

if TYPE_CHECKING:
    from mmengine.config import Config

    from .label_outputs import Outputs

HELP = """\
Predict images with a trained segmentor or detector. For each image NAME.jpg, in DIR:
  NAME_picture.png   the image beside its painted self, and which classes were found, with their share of the pixels;
                     of a detector, the image with boxes, masks, names and scores
  NAME_labels.png    of a segmentor: the class of every pixel (0 is the first class), in the classes' colours
  boxes.json         of a detector: all objects of all images as COCO's results (image_id, category_id, bbox, score,
                     segmentation), with file_name and category

CONFIG may be omitted: a checkpoint contains its config, and so does an adapter folder.
With --adapter, several adapters on one ViT label each image in one pass. The files are NAME_ADAPTER_picture.png, ...

Examples:
  {predict} configs/davpt/linear_vits14_camvid.py epoch_15.pth street.jpg --show
  {predict} epoch_15.pth photos/ 'more/**/*.png' --out predictions --tta
  {predict} photo.jpg --adapter street/ --adapter crops/ --trunk vit.safetensors
  {predict} detector.pth photos/ --score-threshold 0.5
  {predict} detector.pth val2017/ --coco annotations/instances_val2017.json   # ids for pycocotools"""
#: Options by task, and what they are for.
OF_SEGMENTATION = {"tta": "segmentation", "mode": "segmentation"}
OF_DETECTION = {"score_threshold": "detection", "coco": "detection"}
WIDEST = 1000  # characters of a path that are shown


@command
def main_predict(argv: Optional[Sequence[str]] = None) -> None:
    """Predict images: ``tools/predict.py [CONFIG] CHECKPOINT IMAGE...``.

    Raises:
        SystemExit: 2 for wrong input, reported before anything is predicted; 1 where some images could not be read.
    """
    args = _parser().parse_intermixed_args(argv)
    from ..datasets.pictures import ignore_large
    from .images import find_images, output, output_stems

    warnings.filterwarnings("ignore", module="mmseg|mmengine")  # meant for their developers
    ignore_large()
    given = list(args.given)
    args.config = given.pop(0) if not args.adapter and _is_config(given[0]) else None
    args.checkpoint = None if args.adapter or not given else given.pop(0)
    if args.checkpoint and Path(args.checkpoint).suffix.lower() in IMAGE_SUFFIXES:
        last = next((each for each in given if each.endswith(".pth") or is_folder(each)), "CHECKPOINT")
        raise InputError(f"{args.checkpoint!r} is an image, in the place of CHECKPOINT: {last} {args.checkpoint}")
    if not given:
        raise InputError(
            f"no IMAGE is given after {args.checkpoint or args.config!r}: [CONFIG] CHECKPOINT IMAGE..., or IMAGE... "
            "--adapter DIR"
        )
    _check_options(args)
    images = find_images(given)
    config = load_config(args) if args.config else None
    options = None if config else args.cfg_options  # load_config has put them over it
    device = None if args.device == "auto" else args.device
    output_stems(images, args.out, ())  # refuses a file in its place before anything is loaded
    outputs = _outputs(args, config, options, device, images)
    endings = outputs.endings
    stems = output_stems(images, args.out, endings)
    there = sum(output(stem, ending).exists() for stem in stems for ending in endings)
    there += sum((args.out / name).exists() for name in outputs.shared)
    if there:
        print(f"{args.out}: {there} files of an earlier run are replaced")
    failed = _predict_all(outputs, images, stems, args)
    if failed:
        print(f"{len(failed)} of {len(images)} could not be read:", *failed, sep="\n  ", file=sys.stderr)
        sys.exit(1)


def _outputs(
    args: argparse.Namespace,
    config: Optional[Config],
    options: Optional[dict[str, Any]],
    device: Optional[str],
    images: Sequence[Path],
) -> Outputs:
    """Load what predicts: one segmentor or detector, or several segmentors.

    Raises:
        InputError: what cannot be loaded, or options that are not for its task.
    """
    from ..apis.open_trained import check_device, opened
    from ..training.tasks import DETECTION, SEGMENTATION
    from .label_outputs import LabelOutputs, names_of

    if args.adapter:
        from ..apis.task_predictor import TaskPredictor

        _refuse(args, OF_DETECTION, "--adapter predicts with segmentors; give a detector's folder as CHECKPOINT")
        labeller = TaskPredictor(names_of(args.adapter), args.trunk, args.mode, device, args.trust_config)
        return LabelOutputs(labeller, args.opacity)
    check_device(device)
    trained = opened(args.checkpoint, config, args.trunk, args.trust_config, (SEGMENTATION, DETECTION))
    if trained.task == DETECTION:
        from ..apis.detector import Detector
        from ..visualization.detections import THRESHOLD
        from .box_outputs import BoxOutputs
        from .coco_ids import Ids

        _refuse(args, OF_SEGMENTATION, f"{args.checkpoint} is a detector's, which takes each image as one, unchanged")
        detector = Detector(trained, device=device, options=options)
        threshold = THRESHOLD if args.score_threshold is None else args.score_threshold
        return BoxOutputs(detector, threshold, args.opacity, Ids(images, detector.classes, args.coco or ""))
    _refuse(args, OF_DETECTION, f"{args.checkpoint} labels every pixel")
    from ..apis.predictor import Predictor

    predictor = Predictor(trained, mode=args.mode, tta=args.tta, device=device, options=options)
    return LabelOutputs(predictor, args.opacity)


def _refuse(args: argparse.Namespace, names: Mapping[str, str], reason: str) -> None:
    """Refuse options of another task."""
    for name, use in names.items():
        given = getattr(args, name)
        if given is not None and given is not False:
            raise InputError(f"--{name.replace('_', '-')} is for {use}, and {reason}; omit it")


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        description=for_help(HELP),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="%(prog)s [CONFIG] CHECKPOINT IMAGE... [options]\n"
        "       %(prog)s IMAGE... --adapter DIR [--adapter DIR ...] [options]",
    )
    parser.add_argument(
        "given",
        nargs="+",
        metavar="CONFIG, CHECKPOINT, IMAGE",
        help="CONFIG: what was trained; default: the one in the checkpoint. CHECKPOINT: a .pth file that a "
        "training wrote, or an adapter folder. IMAGE: images, folders of images, or patterns in quotes",
    )
    parser.add_argument(
        "--adapter",
        action="append",
        default=[],
        metavar="DIR",
        help="in place of CHECKPOINT: an adapter folder, or hub:USER/NAME; several label an image in one pass",
    )
    out = Path("work_dirs/predictions")
    parser.add_argument("--out", type=Path, default=out, metavar="DIR", help="folder to write to; default: %(default)s")
    parser.add_argument("--show", action="store_true", help="open each NAME_picture.png; close it to continue")
    parser.add_argument(
        "--opacity", type=float, default=0.6, metavar="0..1", help="of the paint and of masks; default: %(default)s"
    )
    parser.add_argument(
        "--score-threshold",
        type=float,
        metavar="0..1",
        help="of detection: lowest score that is drawn; default: 0.3. boxes.json has all objects",
    )
    parser.add_argument(
        "--coco", metavar="FILE", help="of detection: COCO annotations whose ids of images and categories are used"
    )
    parser.add_argument("--tta", action="store_true", help="average several scales and flips: slower, often better")
    parser.add_argument(
        "--mode", choices=["slide", "whole"], help="sliding window or whole image; default: the config's"
    )
    parser.add_argument(
        "--trunk",
        metavar="FILE|pretrained",
        help="weights of the frozen ViT, for an adapter folder or a CHECKPOINT that does not hold them: a file, or "
        "'pretrained' for timm's own; default: what the config names, or a file of the recorded name next to the "
        "folder",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, ...; default: %(default)s")
    add_cfg_options(parser, "model.test_cfg...")
    parser.add_argument(
        "--trust-config",
        action="store_true",
        help="without CONFIG: run the config inside CHECKPOINT as Python and import what it names, which can run any "
        "code of the checkpoint's maker; only if you trust them",
    )
    # what load_config asks for besides
    parser.set_defaults(work_dir=None, launcher="none", local_rank=0, print_config=False)
    return parser


def _is_config(argument: str) -> bool:
    """Distinguish CONFIG, a file or words, from a CHECKPOINT or an adapter folder in its place."""
    return (
        not is_folder(argument)
        and not argument.endswith(".pth")
        and (not Path(argument).is_file() or argument.endswith(CONFIGS))
    )


def _check_options(args: argparse.Namespace) -> None:
    if not 0 <= args.opacity <= 1:
        raise InputError(f"--opacity {args.opacity}: must be from 0 (only the image) to 1 (only paint)")
    if args.score_threshold is not None and not 0 <= args.score_threshold <= 1:
        raise InputError(f"--score-threshold {args.score_threshold}: must be from 0 (all objects) to 1")
    if args.adapter and (model := next((each for each in args.given if each.endswith(".pth")), None)):
        raise InputError(f"--adapter takes the place of CHECKPOINT: omit {model}, or --adapter")
    if args.adapter and (args.tta or args.cfg_options):
        option = "--tta" if args.tta else "--cfg-options"
        raise InputError(f"--adapter and {option} exclude each other; give one adapter folder as CHECKPOINT instead")


def _predict_all(
    outputs: Outputs, images: Sequence[Path], stems: Sequence[Path], args: argparse.Namespace
) -> list[str]:
    """Predict and write all images that can be read; return what was wrong with the others.

    An interruption, too, leaves the results of the images before it complete.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from ..visualization.class_names import shown

    failed, done = [], 0
    console = Console(highlight=False, markup=False, soft_wrap=True)
    columns = (TextColumn("predicting"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
            for path, stem in progress.track(list(zip(images, stems))):
                start = time.perf_counter()
                stem.parent.mkdir(parents=True, exist_ok=True)
                name = shown(str(path), WIDEST)
                try:
                    for picture, about in outputs.write(path, stem):
                        seconds = time.perf_counter() - start
                        progress.console.print(f"{name}  {seconds:.1f} s  {about}")
                        if args.show and not show(picture):
                            progress.console.print(f"  no display to show it on; open {picture}")
                    done += 1
                except InputError as error:
                    failed.append(str(error))
                    progress.console.print(f"{name}  unreadable, skipped")
    finally:
        console.print(f"{done} of {len(images)} images: {outputs.close(args.out)}")
    return failed


def show(picture: Path) -> bool:
    """Open an image file in a window and wait until it is closed; return False where there is no display."""
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(13, 6), num=picture.name, layout="constrained")
    if figure.canvas.required_interactive_framework is None:  # matplotlib found no toolkit or no display
        plt.close(figure)
        return False
    axes = figure.add_subplot()
    axes.imshow(plt.imread(picture))
    axes.axis("off")
    plt.show()
    return True
