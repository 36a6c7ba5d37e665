"""Export a trained model: ``davpt-seg export``."""

from __future__ import annotations

import argparse
import re
import sys
import warnings
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Callable, NamedTuple, Optional

from ..core.adapter_folder.places import check_adapter_folder, is_folder
from ..errors import InputError
from ..terminal.ending import command
from ..terminal.parser import CommandParser
from ..terminal.program import for_help
from .config_argument import add_cfg_options, read_config
from .export_adapter import OF_ADAPTERS, add_adapter_arguments, run_export_adapter

if TYPE_CHECKING:
    from mmengine.config import Config

    from ..export.job import Choices, ExportJob, Trained

HELP = """\
Export a trained segmentor or classifier in one or several of these forms, or a detector by --out:
  --out DIR                 an adapter folder: what was trained, without the frozen ViT, to send to others
  --onnx FILE.onnx          the complete model for ONNX Runtime and others
  --pt2 FILE.pt2            the complete model for PyTorch alone: torch.export.load(FILE).module()(images)
  --timm FILE.safetensors   only the tuned trunk, as a plain timm ViT, where folding leaves one (LoRA, SSF, bias)

The models of --onnx and --pt2 are folded. They take images (B, 3, H, W), float32, RGB in 0..255, any number at once,
and return labels (B, H, W) or logits (B, C, H, W) in the images' size; a classifier returns (B,) or (B, C).
Normalisation is inside. Resizing, cropping and sliding windows are not. Each file is read again and compared with the
model's own test. A file that differs by more than rounding is not kept.

CONFIG may be omitted: a checkpoint contains its config. CHECKPOINT may be an adapter folder, too,
except for --out. docs/adapters.md and docs/export.md have more.

Examples:
  {export} epoch_15.pth --out street                                        # a few MB; then, elsewhere:
  {predict} street photo.jpg --trunk vit.safetensors
  {export} epoch_15.pth --onnx model.onnx                                   # images of any size
  {export} epoch_15.pth --onnx model.onnx --pt2 model.pt2 --size 512x512    # of one size
  {export} epoch_15.pth --onnx model.onnx --half --classes-out logits       # float16 inside
  {export} iter_160000.pth --onnx window.onnx --size 512x512 --mode whole   # tested by windows: one at a time
  {export} method_lora.pth --timm tuned.safetensors"""


class Output(NamedTuple):
    """A file that export writes.

    Attributes:
        name: name of the option, without dashes.
        ending: suffix of the file.
        help: text of ``--help``.
        packages: optional packages that writing needs.
        is_program: whether ``--size`` and similar options apply.
    """

    name: str
    ending: str
    help: str
    packages: tuple[str, ...] = ()
    is_program: bool = True

    @property
    def option(self) -> str:
        """The option on the command line."""
        return f"--{self.name}"

    @property
    def write(self) -> Callable[[ExportJob, Path], str]:
        """The function that writes a file and returns a line about it."""
        from ..export import outputs

        return getattr(outputs, f"write_{self.name}")


# A new form is one line here, and its ``write_NAME`` in export/outputs.py.
OUTPUTS = (
    Output("onnx", ".onnx", "the complete model for ONNX Runtime and others", ("onnx", "onnxscript", "onnxruntime")),
    Output("pt2", ".pt2", "the complete model as a program of torch.export"),
    Output("timm", ".safetensors", "the tuned trunk as a plain timm ViT, if it is one", is_program=False),
)


@command
def main_export(argv: Optional[Sequence[str]] = None) -> None:
    """Export a model: ``davpt-seg export [CONFIG] CHECKPOINT --onnx FILE --pt2 FILE --timm FILE``.

    Raises:
        SystemExit: 2 for wrong input; 1 where a file's outputs were not the model's, which is then not kept.
    """
    parser = _parser()
    args = parser.parse_args(argv)
    wanted = [(output, Path(getattr(args, output.name))) for output in OUTPUTS if getattr(args, output.name)]
    _check(args, wanted)
    for package in {package for output, _ in wanted for package in output.packages}:
        import_module(package)  # before anything long starts
    warnings.filterwarnings("ignore", module="mmseg|mmengine|torch")  # meant for their developers
    config = read_config(args.config, args.cfg_options) if args.config else None
    if args.out:
        run_export_adapter(args, args.checkpoint, config, args.trust_config)
    if not wanted:
        return
    from ..export.comparison import DiffersError
    from ..export.job import ExportJob

    trained = _trained(args, config, wanted)
    job = ExportJob(trained, _choices(args))
    for output, path in wanted:
        try:
            line = output.write(job, path)
        except DiffersError as error:
            print(f"{parser.prog}: {path} is not written: {error}", file=sys.stderr)
            sys.exit(1)
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB. {line}", flush=True)
    if job.steps_before and any(output.is_program for output, _ in wanted):
        print(f"Do first, as the test does: {job.steps_before}")
    if Path(args.checkpoint).is_file():
        size = Path(args.checkpoint).stat().st_size / 1e6
        print(f"{args.checkpoint}, from which this was exported: {size:.1f} MB")


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        description=for_help(HELP),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="%(prog)s [CONFIG] CHECKPOINT [--out DIR] [--onnx FILE] [--pt2 FILE] [--timm FILE] [options]",
    )
    parser.add_argument("config", nargs="?", help="the config that was trained; default: the one in the checkpoint")
    parser.add_argument("checkpoint", help="a .pth file that a training wrote, or an adapter folder")
    parser.add_argument(
        "--trunk",
        metavar="FILE|pretrained",
        help="weights of the frozen ViT, if CHECKPOINT does not hold them; default: what the config names",
    )
    add_adapter_arguments(parser)
    for output in OUTPUTS:
        parser.add_argument(output.option, metavar=f"FILE{output.ending}", help=output.help)
    of_programs = parser.add_argument_group("options of --onnx and --pt2")
    of_programs.add_argument(
        "--size", metavar="HxW|dynamic", help="height and width of all images, or dynamic for any; default: dynamic"
    )
    of_programs.add_argument(
        "--classes-out", choices=["labels", "logits"], help="what the model returns; default: labels, int64"
    )
    of_programs.add_argument("--half", action="store_true", help="float16 weights and arithmetic; images stay float32")
    of_programs.add_argument("--uint8", action="store_true", help="take images as uint8: a quarter of the bytes")
    of_programs.add_argument(
        "--mode", choices=["whole"], help="of a model that is tested by sliding windows: export it for one window"
    )
    add_cfg_options(parser, "model.test_cfg...")
    parser.add_argument(
        "--trust-config",
        action="store_true",
        help="without CONFIG: run the config inside CHECKPOINT as Python and import what it names, which can run any "
        "code of the checkpoint's maker; only if you trust them",
    )
    return parser


def _check(args: argparse.Namespace, wanted: Sequence[tuple[Output, Path]]) -> None:
    """Refuse options that do not go together and files that could not be written, before anything is read."""
    if not wanted and not args.out:
        given = ", ".join(f"{output.option} FILE{output.ending}" for output in OUTPUTS)
        raise InputError(f"there is nothing to write; give one or several of --out DIR, {given}")
    of_adapters = [option for option in OF_ADAPTERS if getattr(args, option)]
    if of_adapters and not args.out:
        raise InputError(f"--{of_adapters[0].replace('_', '-')} needs --out DIR")
    check_adapter_folder(args.checkpoint)
    if args.out and is_folder(args.checkpoint):
        raise InputError(f"{args.checkpoint} is an adapter folder already, so --out has nothing to do; omit it")
    for output, path in wanted:
        if path.suffix != output.ending:
            raise InputError(f"{output.option} {path} must end in {output.ending}")
        if path.is_dir():
            raise InputError(f"{output.option} {path} is a folder; name a file")
        _check_replaced(output.option, path, [each for each in (args.checkpoint, args.trunk, args.config) if each])
    unused = [option for option in ("size", "classes_out", "half", "uint8", "mode") if getattr(args, option)]
    if unused and not any(output.is_program for output, _ in wanted):
        raise InputError(f"--{unused[0].replace('_', '-')} needs --onnx or --pt2")
    _size(args.size)


def _check_replaced(option: str, path: Path, read: Sequence[str]) -> None:
    """Refuse an output that would replace a file that is read, or one in an adapter folder."""
    for name in read:
        taken = Path(name).resolve()
        if path.resolve() == taken or (taken.is_dir() and taken in path.resolve().parents):
            raise InputError(f"{option} {path} would replace {name}, or a file in it; name another file")


def _size(text: Optional[str]) -> Optional[tuple[int, int]]:
    """Return a height and width, or None for any."""
    if text in (None, "dynamic"):
        return None
    found = re.fullmatch(r"(\d+)x(\d+)", text)
    if found is None or not all(0 < int(side) < 2**14 for side in found.groups()):
        raise InputError(f"--size {text} must be HEIGHTxWIDTH in pixels, such as 512x1024, or dynamic")
    return int(found[1]), int(found[2])


def _trained(args: argparse.Namespace, config: Optional[Config], wanted: Sequence[tuple[Output, Path]]) -> Trained:
    from ..apis.open_trained import opened
    from ..experiments.options import put_options
    from ..training.tasks import CLASSIFICATION, DETECTION, TASKS
    from ..training.testing import set_mode

    trained = opened(args.checkpoint, config, args.trunk, args.trust_config, TASKS)
    weights = trained.cfg.model.backbone.get("weights")
    weights = weights.get("path") if isinstance(weights, Mapping) else weights
    for output, path in wanted:
        _check_replaced(output.option, path, [weights] if isinstance(weights, str) else [])
    if trained.task == DETECTION:
        given = " ".join(output.option for output in OUTPUTS if getattr(args, output.name))
        raise InputError(
            f"{given}: {args.checkpoint} is a detector's, and these files are of segmentors and classifiers. "
            "--out DIR exports a detector as an adapter folder; davpt_seg.apis.Detector predicts with it"
        )
    if config is None:  # read_config has put them over it
        put_options(trained.cfg, args.cfg_options or {})
    if args.mode and trained.task == CLASSIFICATION:
        raise InputError(f"--mode {args.mode} is for segmentors, and {args.checkpoint} is a classifier's; omit it")
    if args.mode:
        set_mode(trained.cfg, args.mode)
    return trained


def _choices(args: argparse.Namespace) -> Choices:
    from ..export.job import Choices

    return Choices(_size(args.size), args.classes_out or "labels", args.half, args.uint8)
