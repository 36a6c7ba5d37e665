"""Predict images: ``davpt-seg predict``, ``tools/predict.py``."""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Optional, Protocol

from ..core.adapter_folder.places import is_folder
from ..errors import InputError
from ..experiments.catalog import CONFIGS
from ..terminal.ending import command
from ..terminal.parser import CommandParser
from ..terminal.program import for_help
from .config_argument import add_cfg_options, load_config

if TYPE_CHECKING:
    import numpy as np

    from ..apis.predictor import Predictor

HELP = """\
Segment images with a trained model. For each image NAME.jpg, in DIR:
  NAME_picture.png   the image beside its painted self, and which classes were found, with their share of the pixels
  NAME_labels.png    the class of every pixel (0 is the first class), in the classes' colours

CONFIG may be omitted: a checkpoint contains its config, and so does an adapter folder.
With --adapter, several adapters on one ViT label each image in one pass. The files are NAME_ADAPTER_picture.png, ...

Examples:
  {predict} configs/davpt/linear_vits14_camvid.py epoch_15.pth street.jpg --show
  {predict} epoch_15.pth photos/ 'more/**/*.png' --out predictions --tta
  {predict} photo.jpg --adapter street/ --adapter crops/ --trunk vit.safetensors"""
IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")


@command
def main_predict(argv: Optional[Sequence[str]] = None) -> None:
    """Predict images: ``tools/predict.py [CONFIG] CHECKPOINT IMAGE...``.

    Raises:
        SystemExit: 2 for wrong input, reported before anything is predicted; 1 where some images could not be read.
    """
    args = _parser().parse_intermixed_args(argv)
    from ..apis.predictor import Predictor
    from ..apis.task_predictor import TaskPredictor
    from ..datasets.pictures import ignore_large
    from .images import OUTPUTS, find_images, output, output_stems

    warnings.filterwarnings("ignore", module="mmseg|mmengine")  # meant for their developers
    ignore_large()
    given = list(args.given)
    args.config = given.pop(0) if not args.adapter and _is_config(given[0]) else None
    args.checkpoint = None if args.adapter or not given else given.pop(0)
    if args.checkpoint and Path(args.checkpoint).suffix.lower() in IMAGES:
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
    names = _names(args.adapter)
    endings = [f"_{name}{ending}" if name else ending for name in names for ending in OUTPUTS]
    stems = output_stems(images, args.out, endings)
    labeller: Labeller
    if args.adapter:
        labeller = TaskPredictor(names, args.trunk, args.mode, device, args.trust_config)
    else:
        labeller = _Alone(
            Predictor(args.checkpoint, config, args.mode, args.tta, device, options, args.trust_config, args.trunk)
        )
    there = sum(output(stem, ending).exists() for stem in stems for ending in endings)
    if there:
        print(f"{args.out}: {there} files of an earlier run are replaced")
    failed = _predict_all(labeller, images, stems, args)
    if failed:
        print(f"{len(failed)} of {len(images)} could not be read:", *failed, sep="\n  ", file=sys.stderr)
        sys.exit(1)


class Labeller(Protocol):
    """What labels an image for one task or several."""

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks."""

    def __getitem__(self, name: str) -> Predictor:
        """Return a task's predictor."""

    def __call__(self, image: Path) -> dict[str, np.ndarray]:
        """Return the class of every pixel, (H, W), of each task."""


class _Alone:
    """One predictor, whose task has no name."""

    tasks = ("",)

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor

    def __getitem__(self, name: str) -> Predictor:
        return self.predictor

    def __call__(self, image: Path) -> dict[str, np.ndarray]:
        return {"": self.predictor(image)}


def _names(adapters: Sequence[str]) -> dict[str, str]:
    """Return adapters by name, the last part of their path; one without a name where there are none.

    Raises:
        InputError: two of one name.
    """
    if not adapters:
        return {"": ""}
    names: dict[str, str] = {}
    for adapter in adapters:
        name = Path(adapter.partition("@")[0] if adapter.startswith("hub:") else adapter).resolve().name
        if name in names:
            raise InputError(f"--adapter {names[name]} and {adapter} would both be called {name!r}; rename a folder")
        names[name] = adapter
    return names


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
    parser.add_argument("--opacity", type=float, default=0.6, metavar="0..1", help="of the paint; default: %(default)s")
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
    if args.adapter and (model := next((each for each in args.given if each.endswith(".pth")), None)):
        raise InputError(f"--adapter takes the place of CHECKPOINT: omit {model}, or --adapter")
    if args.adapter and (args.tta or args.cfg_options):
        option = "--tta" if args.tta else "--cfg-options"
        raise InputError(f"--adapter and {option} exclude each other; give one adapter folder as CHECKPOINT instead")


def _predict_all(
    labeller: Labeller, images: Sequence[Path], stems: Sequence[Path], args: argparse.Namespace
) -> list[str]:
    """Predict and write all images that can be read; return what was wrong with the others."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    failed = []
    console = Console(highlight=False, markup=False, soft_wrap=True)
    columns = (TextColumn("predicting"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        for path, stem in progress.track(list(zip(images, stems))):
            start = time.perf_counter()
            try:
                found = labeller(path)
            except InputError as error:
                failed.append(str(error))
                progress.console.print(f"{path}  unreadable, skipped")
                continue
            for name, labels in found.items():
                picture = _write(labeller[name], path, stem, labels, name, args.opacity)
                seconds = time.perf_counter() - start
                about = _summary(labels, labeller[name].classes)
                progress.console.print(f"{path}  {seconds:.1f} s  {name}{': ' * bool(name)}{about}")
                if args.show and not show(picture):
                    progress.console.print(f"  no display to show it on; open {picture}")
    done = len(images) - len(failed)
    name = "NAME" if labeller.tasks == ("",) else "NAME_ADAPTER"
    console.print(f"{done} of {len(images)} images: {name}_picture.png and {name}_labels.png in {args.out}")
    return failed


def _write(predictor: Predictor, path: Path, stem: Path, labels: np.ndarray, task: str, opacity: float) -> Path:
    """Write figure and label map of one image; return the figure's path."""
    from ..visualization.predictions import label_map, prediction_picture
    from .images import OUTPUTS, output

    stem.parent.mkdir(parents=True, exist_ok=True)
    pixels = predictor.read(path)[..., ::-1]
    title = f"{path.name}, {task}" if task else path.name
    figure = prediction_picture(pixels, labels, predictor.classes, predictor.palette, title, opacity)
    picture, label_file = (output(stem, f"_{task}{ending}" if task else ending) for ending in OUTPUTS)
    figure.savefig(picture)
    label_map(labels, predictor.palette).save(label_file)
    return picture


def _summary(labels: np.ndarray, classes: Sequence[str], most: int = 5) -> str:
    from ..visualization.predictions import class_shares, percent

    found = class_shares(labels, len(classes))
    names = [f"{classes[i]} {percent(share)}" for i, share in found[:most]]
    return ", ".join(names + [f"{len(found) - most} more"] * (len(found) > most))


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
