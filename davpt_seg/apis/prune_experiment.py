"""The experiment of a pruning cycle, once as shares are chosen (no test image) and once as it is reported."""

from __future__ import annotations

import argparse
import copy
import re
from collections.abc import Mapping
from typing import Any, NamedTuple, Optional

from mmengine.config import Config

from ..commands.config_argument import check_data, read_config
from ..errors import InputError
from ..experiments.compose import asks_for_composition
from .prune_data import refuse_tested_images


class Experiment(NamedTuple):
    """What a cycle trains.

    Args:
        name: as the user typed it.
        choosing: its test is one on validation images.
        final: its test is the real one.
        same_training: whether both train on the same images, so that a model of the first is one of the second, too.
    """

    name: str
    choosing: Config
    final: Config
    same_training: bool


def read_experiment(
    parser: argparse.ArgumentParser, config: str, options: Optional[Mapping[str, Any]] = None
) -> Experiment:
    """Read what the user typed; of words, both splits, and of a file, one that tests on the validation images.

    Raises:
        InputError: words with a split of their own, or a file whose validation images are its test images.
    """
    if not asks_for_composition(config):
        final = read_config(parser, config, options)
        return Experiment(config, _tests_on_validation(parser, final, config), final, same_training=True)
    if re.search(r"(^|,)split=", config):
        raise InputError(
            f"{config}: leave split= out; the cycle chooses by split=choose, and trains the chosen one by split=final"
        )
    choosing = read_config(parser, f"{config},split=choose", options)
    final_options = {key: value for key, value in (options or {}).items() if not key.startswith("val_")}
    final = read_config(parser, f"{config},split=final", final_options)  # which has no validation to change
    return Experiment(config, choosing, final, same_training=False)


def _tests_on_validation(parser: argparse.ArgumentParser, cfg: Config, name: str) -> Config:
    missing = [f"{split}_dataloader" for split in ("val", "test") if not cfg.get(f"{split}_dataloader")]
    if missing:
        raise InputError(f"{name} has no {missing[0]}; a cycle chooses on validation images and reports on test images")
    check_data(parser, cfg, ("train", "val", "test"))
    refuse_tested_images(cfg, name)
    copied = copy.deepcopy(cfg)
    for part in ("dataloader", "evaluator"):
        copied[f"test_{part}"] = copied[f"val_{part}"]
    return copied
