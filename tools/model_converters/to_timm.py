"""Convert a public ViT checkpoint of any known format to a .safetensors file with timm's names.

Training reads every format itself (weights="..." in a config). Convert for a small file that needs no pickle: heads,
decoders, optimizers and second networks are omitted. Loading is strict: tensors that do not fit the model are listed by
name, and nothing is written.
"""

from __future__ import annotations

import argparse
import ast
import logging
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

from safetensors.torch import save
from timm.models.vision_transformer import VisionTransformer

from davpt_seg.core.trunk import build_trunk
from davpt_seg.core.weights import Checkpoint, known_formats, load_weights, with_checksum
from davpt_seg.errors import InputError
from davpt_seg.replacing import replacing
from davpt_seg.terminal.ending import command
from davpt_seg.terminal.parser import CommandParser

EPILOG = """examples:
  # what is in this file, and does it fit?
  python tools/model_converters/to_timm.py vit-b-300ep.pth.tar --model-name vit_base_patch16_224 --dry-run
  # MoCo-v3's momentum encoder instead of its base encoder
  python tools/model_converters/to_timm.py vit-b-300ep.pth.tar moco_b.safetensors \\
      --model-name vit_base_patch16_224 --which momentum_encoder
  # positions resampled to 32 x 32 patches
  python tools/model_converters/to_timm.py B_16.npz b16_512.safetensors \\
      --model-name vit_base_patch16_224 --timm-kwargs img_size=512

"""


def parse_args(argv: Optional[Sequence[str]]) -> argparse.Namespace:
    """Read the command line."""
    formats = "formats:\n" + "\n".join(f"  {name:20}{about}" for name, about in known_formats())
    parser = CommandParser(
        description=__doc__, epilog=EPILOG + formats, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("src", metavar="SRC", help="the checkpoint: .safetensors, .npz, .pth, .pt, .bin, .tar, .ckpt")
    parser.add_argument("dst", metavar="DST.safetensors", type=Path, nargs="?", help="not needed with --dry-run")
    parser.add_argument("--model-name", required=True, help="timm's name of the same ViT, e.g. vit_base_patch16_224")
    parser.add_argument(
        "--timm-kwargs",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="further arguments of timm.create_model, e.g. img_size=512 final_norm=False",
    )
    parser.add_argument("--which", help="network to take, if SRC has several: momentum_encoder, student, ...")
    parser.add_argument("--resample-patch", action="store_true", help="resample a patch embedding of another size")
    parser.add_argument(
        "--trust-pickle", action="store_true", help="let SRC run code while it is read; only if you trust its source"
    )
    parser.add_argument("--dry-run", action="store_true", help="read, compare and report, but write nothing")
    parser.add_argument("--force", action="store_true", help="write even if DST exists")
    args = parser.parse_args(argv)
    if not args.dry_run:
        if args.dst is None:
            raise InputError("DST.safetensors is missing (or add --dry-run)")
        if args.dst.suffix != ".safetensors":
            raise InputError(f"DST must end in .safetensors, got {str(args.dst)!r}")
        if args.dst.exists() and not args.force:
            raise InputError(f"{str(args.dst)!r} exists; --force overwrites it")
    args.timm_kwargs = dict(_key_value(pair) for pair in args.timm_kwargs)
    return args


def _key_value(pair: str) -> tuple[str, Any]:
    key, equals, value = pair.partition("=")
    if not equals:
        raise InputError(f"--timm-kwargs {pair!r} must read KEY=VALUE")
    try:
        return key, ast.literal_eval(value)
    except (ValueError, SyntaxError):  # a bare word
        return key, value


def table(trunk: VisionTransformer) -> str:
    """Return a table of the ViT's parts, with their numbers of tensors and parameters."""
    tensors: Counter[str] = Counter()
    numbers: Counter[str] = Counter()
    for name, value in trunk.state_dict().items():
        part = f"blocks.0 to blocks.{len(trunk.blocks) - 1}" if name.startswith("blocks.") else name.split(".")[0]
        for key in (part, "all"):
            tensors[key] += 1
            numbers[key] += math.prod(value.shape)
    total = {"all": tensors.pop("all")}
    rows = [f"{'part':24}{'tensors':>8}{'numbers':>14}"]
    return "\n".join(rows + [f"{key:24}{count:8}{numbers[key]:14,}" for key, count in {**tensors, **total}.items()])


def report(checkpoint: Checkpoint, trunk: VisionTransformer) -> str:
    """Describe what was read, as lines for people."""
    lines = [f"{checkpoint.path}: format {checkpoint.format}"]
    if checkpoint.network:
        lines.append(f"network: {checkpoint.network[:-1]}")
    lines += [f"note: {note}" for note in checkpoint.notes]
    for reason, names in checkpoint.left_out.items():
        lines.append(f"omitted: {reason}, tensors: {len(names)} ({names[0]}{', ...' if len(names) > 1 else ''})")
    return "\n".join([*lines, table(trunk)])


def write(trunk: VisionTransformer, args: argparse.Namespace, checkpoint: Checkpoint) -> None:
    """Write the ViT atomically."""
    metadata = {"format": "pt", "source": checkpoint.path.name, "source_format": checkpoint.format}
    metadata["timm_model"] = args.model_name
    tensors = {name: value.contiguous() for name, value in trunk.state_dict().items()}
    with replacing(args.dst) as part:
        part.write_bytes(save(tensors, with_checksum(tensors, metadata)))


@command
def main(argv: Optional[Sequence[str]] = None) -> None:
    """Run the command line; ``argv`` defaults to ``sys.argv[1:]``."""
    args = parse_args(argv)
    weights = dict(path=args.src, which=args.which, trust_pickle=args.trust_pickle, resample_patch=args.resample_patch)
    logger = logging.getLogger("davpt_seg")
    level = logger.level
    logger.setLevel(logging.ERROR)  # the report has all notes
    try:
        trunk = build_trunk(args.model_name, False, None, args.timm_kwargs)
        checkpoint = load_weights(trunk, weights)
    finally:
        logger.setLevel(level)
    print(report(checkpoint, trunk))
    if args.dry_run:
        print("fits; nothing written (--dry-run)")
        return
    write(trunk, args, checkpoint)
    kwargs = f", timm_kwargs={args.timm_kwargs}" if args.timm_kwargs else ""
    print(
        f"written: {args.dst}\nuse it: backbone=dict(model_name={args.model_name!r}, weights={str(args.dst)!r}{kwargs})"
    )


if __name__ == "__main__":
    main()
