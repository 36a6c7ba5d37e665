"""What stands in a config's place on a command line: a file, the name of one of ours, or the parts of an experiment."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any, Optional

from mmengine.config import Config

from ..compat import log_through_mmengine
from ..errors import InputError
from ..experiments.catalog import find_config
from ..experiments.compose import asks_for_composition, compose_from_words
from ..experiments.options import put_options


def read_config(parser: argparse.ArgumentParser, config: str, options: Optional[Mapping[str, Any]] = None) -> Config:
    """Read or compose a config and put ``--cfg-options`` over it; end with the parser's error where that can't be."""
    log_through_mmengine()
    try:
        cfg = compose_from_words(config) if asks_for_composition(config) else Config.fromfile(find_config(config))
    except InputError as error:
        parser.error(str(error))
    except (SyntaxError, OSError) as error:
        parser.error(f"config {config!r} cannot be read: {error}")
    if options:
        try:
            put_options(cfg, options)
        except InputError as error:
            parser.error(str(error))
    return cfg
