"""The part of ``davpt-seg export`` that writes adapter folders: its arguments, and what it does."""

from __future__ import annotations

import argparse
from typing import Any, Optional

from ..errors import InputError

#: Options that need ``--out``.
OF_ADAPTERS = ("mapping", "scores", "image", "push_to_hub", "private")


def add_adapter_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of an adapter folder to a command's."""
    add = parser.add_argument_group("adapter folder (docs/adapters.md)").add_argument
    add("--out", metavar="DIR", help="write what was trained, without the frozen ViT, into this folder")
    add("--mapping", action="store_true", help="also write guidance's state (class means, class-to-prompt mapping)")
    add("--scores", metavar="FILE", help="for the model card: what davpt-seg test --json FILE wrote about CHECKPOINT")
    add("--image", metavar="FILE", help="for the model card: an image to predict (segmentation; needs --trunk)")
    add("--push-to-hub", metavar="USER/NAME", help="upload the folder to the Hugging Face hub; needs hf auth login")
    add("--private", action="store_true", help="make the repository private")


def run_export_adapter(
    args: argparse.Namespace, checkpoint: str, config: Optional[Any] = None, trust_config: bool = False
) -> None:
    """Write the adapter folder that the arguments ask for, print its size, and upload it.

    Args:
        args: options of :func:`add_adapter_arguments`, with ``out``, and ``trunk``: weights of the frozen ViT, to
            compare and to record by name.
        checkpoint: the file.
        config: what was trained; by default the one inside the checkpoint.
        trust_config: run that one as Python.

    Raises:
        InputError: see :func:`~davpt_seg.apis.adapter_export.export_adapter`.
    """
    if args.image and not args.trunk:
        raise InputError("--image predicts, for which the frozen ViT is needed: give --trunk FILE")
    from ..apis.adapter_export import export_adapter
    from ..core.adapter_folder.hub import HubPlace, push
    from ..core.adapter_folder.places import HUB

    if args.push_to_hub:
        HubPlace(HUB + args.push_to_hub)  # refuses a wrong name before anything is written
    options = None if config else args.cfg_options  # read_config has put them over it
    done = export_adapter(
        checkpoint, args.out, config, args.trunk, args.mapping, args.scores, args.image, trust_config, options
    )
    print(f"{done.folder}: {megabytes(done.size)} of tensors; the checkpoint has {megabytes(done.checkpoint_size)}.")
    print(f"Needs {done.record}.")
    if args.push_to_hub:
        print(f"Uploaded: {push(done.folder, args.push_to_hub, args.private)}")


def megabytes(size: int) -> str:
    """Return a number of bytes as text."""
    return f"{size / 1e6:,.2f} MB"
