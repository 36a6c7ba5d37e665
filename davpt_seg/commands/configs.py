"""List of the configs of davpt_seg: ``davpt-seg configs``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional

from ..errors import InputError, nearest
from ..experiments.catalog import LISTING, config_names, find_config
from ..terminal.ending import command
from ..terminal.parser import CommandParser


@command
def main_configs(argv: Optional[Sequence[str]] = None) -> None:
    """List the configs of this package: ``davpt-seg configs [PATTERN]``."""
    parser = CommandParser(
        description="List the configs of davpt_seg. Each name works as the CONFIG of other commands.",
        examples="davpt-seg configs ade20k\ndavpt-seg configs 'baselines/*/upernet_vitl_*'\n"
        'mim train davpt_seg "$(davpt-seg configs --path davpt/upernet_vitl_ade20k)"',
    )
    parser.add_argument("pattern", nargs="?", default="*", help="a part of the name, or a pattern such as 'davpt/*'")
    parser.add_argument("--path", action="store_true", help="print the path of the one config of this name")
    args = parser.parse_args(argv)
    names = [find_config(args.pattern)] if args.path else config_names(args.pattern)
    if not names:
        raise InputError(f"no config matches {args.pattern!r}; {nearest(args.pattern, config_names(), LISTING)}")
    print("\n".join(names))
