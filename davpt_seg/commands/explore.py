"""Explorer of trained models in a browser: ``davpt-seg explore``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Optional

from ..core.adapter_folder.places import CONFIG as ADAPTER
from ..core.adapter_folder.places import HUB, is_folder
from ..errors import InputError
from ..experiments.catalog import CONFIGS
from ..terminal.ending import command
from ..terminal.parser import CommandParser
from ..terminal.program import for_help

if TYPE_CHECKING:
    from ..explorer.collection import Collection

MOST_MODELS, MOST_IMAGES = 2, 60
PAGES = (".html", ".htm")
LAST = "last_checkpoint"  # file of a work dir


@command
def main_explore(argv: Optional[Sequence[str]] = None) -> None:
    """Show what the prompts of one or two models do: ``davpt-seg explore CHECKPOINT... [IMAGE...]``.

    Raises:
        SystemExit: 2 for wrong input, reported before a page is served or written; 130 after Ctrl-C.
    """
    args = _parser().parse_intermixed_args(argv)
    checkpoints, images = _divided([args.first, *([args.second] if args.second else []), *args.others])
    if args.blocks and not args.html:
        raise InputError("--blocks chooses what --html writes; the served page shows all blocks: omit --blocks")
    if args.html and args.port is not None:
        raise InputError("--html writes a file and --port serves a page: omit one of them")
    if args.html and args.html.suffix.lower() not in PAGES:  # a forgotten name would replace an image or a checkpoint
        raise InputError(f"--html {str(args.html)!r} is no name of a page: end it with .html")
    if args.html:
        from ..explorer.page import write_page

        collection = _collection(args, checkpoints, images)
        size = write_page(collection, args.html, args.blocks)
        print(f"{args.html}: {size / 2**20:.1f} MiB, opens in any browser without a server")
        return
    from ..explorer.app import build_app  # Gradio takes seconds to import, and may be missing
    from ..explorer.server import Server, listener

    with listener(args.port) as made:
        app = build_app(_collection(args, checkpoints, images))
        Server(app, made, _report).serve_forever()


def _report(address: str) -> None:
    print(f"Open {address} in a browser. Ctrl-C ends the explorer.", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        description="Show in a browser what the prompts of one or two trained models do: predictions, the attention "
        "of patches to prompts in every block and head, and each prompt's nearest patches.",
        examples=for_help(
            "{explore} work_dirs/mine/epoch_15.pth photos/\n"
            "{explore} da_vpt.pth vpt_deep.pth street.jpg        # side by side\n"
            "{explore} adapter/ --trunk vit.safetensors street.jpg\n"
            "{explore} epoch_15.pth street.jpg --html page.html  # a file instead of a server"
        ),
    )
    parser.add_argument(
        "first", metavar="CHECKPOINT", help=".pth file of a training, or adapter folder (a path, or hub:USER/NAME)"
    )
    parser.add_argument("second", nargs="?", metavar="CHECKPOINT", help="second model, shown beside the first")
    parser.add_argument(
        "others",
        nargs="*",
        metavar="IMAGE",
        help=f"images, folders of images, or patterns in quotes; the first {MOST_IMAGES} are shown",
    )
    parser.add_argument("--port", type=int, metavar="N", help="port on 127.0.0.1; default: the first free from 7860")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a self-contained page of the images, and end")
    parser.add_argument(
        "--blocks", type=int, nargs="+", metavar="N", help="blocks of --html, from 0; default: the last 4 with prompts"
    )
    parser.add_argument(
        "--trunk",
        metavar="FILE|pretrained",
        help="weights of the frozen ViT, for checkpoints and adapter folders that do not hold them: a file, or "
        "'pretrained' for timm's own; default: what the config names, or a file of the recorded name next to the "
        "folder",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, ...; default: %(default)s")
    parser.add_argument(
        "--trust-config",
        action="store_true",
        help="run the configs inside the checkpoints as Python and import what they name, which can run any code of "
        "their makers; only if you trust them",
    )
    return parser


def _divided(given: Sequence[str]) -> tuple[list[str], list[str]]:
    """Divide arguments into checkpoints or adapter folders, and images.

    Raises:
        InputError: no model, more than two, or a config or work dir in the place of one.
    """
    checkpoints = [each for each in given if each.endswith(".pth") or each.startswith(HUB) or _holds(each, ADAPTER)]
    images = [each for each in given if each not in checkpoints]
    for each in images:
        if each.endswith(CONFIGS):
            raise InputError(f"{each!r} is a config; a checkpoint contains its config: omit it")
        if _holds(each, LAST):
            last = (Path(each) / LAST).read_text(errors="replace").strip()
            raise InputError(f"{each!r} is a training's folder; name a checkpoint in it, such as {last}")
    if not checkpoints:
        raise InputError(
            f"no CHECKPOINT among {', '.join(map(repr, given))}: name a .pth file of a training, or an adapter folder"
        )
    if len(checkpoints) > MOST_MODELS:
        raise InputError(f"{len(checkpoints)} models are given, and the page has room for {MOST_MODELS} side by side")
    return checkpoints, images


def _holds(folder: str, name: str) -> bool:
    return is_folder(folder) and (Path(folder) / name).is_file()


def _collection(args: argparse.Namespace, checkpoints: Sequence[str], images: Sequence[str]) -> Collection:
    """Open models and images, and report them."""
    from ..datasets.pictures import ignore_large
    from ..explorer.collection import Collection
    from ..explorer.opened import Opened
    from .images import find_images

    ignore_large()
    found = find_images(images) if images else []
    device = None if args.device == "auto" else args.device
    models = [Opened(each, device=device, trust_config=args.trust_config, trunk=args.trunk) for each in checkpoints]
    if len({model.name for model in models}) < len(models):
        for model, checkpoint in zip(models, checkpoints):
            model.name = checkpoint
    for model in models:
        print(f"{model.name}: {model.method}")
    if len(found) > MOST_IMAGES:
        print(f"The first {MOST_IMAGES} of {len(found)} images are shown")
    return Collection(models, found[:MOST_IMAGES])
