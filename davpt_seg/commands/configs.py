"""List of the configs of davpt_seg: ``davpt-seg configs``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Optional

from ..errors import InputError, nearest
from ..experiments.catalog import LISTING, config_names, find_config


def main_configs(argv: Optional[Sequence[str]] = None) -> None:
    """List the configs of this package: ``davpt-seg configs [PATTERN]``."""
    parser = argparse.ArgumentParser(
        description="List the configs of davpt_seg. Each name works as the CONFIG of other commands.",
        epilog="Examples: davpt-seg configs ade20k; davpt-seg configs 'baselines/*/upernet_vitl_*'; "
        'mim train davpt_seg "$(davpt-seg configs --path davpt/upernet_vitl_ade20k)"',
    )
    parser.add_argument("pattern", nargs="?", default="*", help="a part of the name, or a pattern such as 'davpt/*'")
    parser.add_argument("--path", action="store_true", help="print the path of the one config of this name")
    args = parser.parse_args(argv)
    try:
        names = [find_config(args.pattern)] if args.path else config_names(args.pattern)
        if not names:
            raise InputError(f"no config matches {args.pattern!r}; {nearest(args.pattern, config_names(), LISTING)}")
    except InputError as error:
        parser.error(str(error))
    print("\n".join(names))
