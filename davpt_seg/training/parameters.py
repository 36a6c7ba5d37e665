"""How many parameters a config trains, without weights or memory: for ``tools/count_parameters.py``."""

from __future__ import annotations

import argparse
import copy
from collections.abc import Sequence
from typing import NamedTuple, Optional

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from torch import nn

from ..commands.config_argument import read_config
from ..errors import InputError
from ..experiments.option_values import OptionsAction
from ..experiments.words import EXAMPLES, SEGMENTATION
from .sync_bn import replace_sync_bn


class ParameterCounts(NamedTuple):
    """Numbers of parameters: trained in the backbone, trained in the rest (neck and heads), and the whole model's."""

    backbone_trained: int
    heads_trained: int
    whole: int

    @property
    def trained(self) -> int:
        """All that is trained."""
        return self.backbone_trained + self.heads_trained


def build_on_meta(cfg: Config) -> nn.Module:
    """Build a config's model on the meta device, where parameters have shapes but no values; cfg stays as it is."""
    init_default_scope(cfg.get("default_scope") or "mmseg")
    model = copy.deepcopy(cfg.model)
    replace_sync_bn(model)
    with torch.device("meta"):
        return MODELS.build(model)


def count_parameters(model: nn.Module) -> ParameterCounts:
    """Count the parameters of a segmentor or classifier with a ``backbone``."""

    def trained(module: nn.Module) -> int:
        return sum(p.numel() for p in module.parameters() if p.requires_grad)

    backbone = trained(model.get_submodule("backbone"))
    return ParameterCounts(backbone, trained(model) - backbone, sum(p.numel() for p in model.parameters()))


def main_count(argv: Optional[Sequence[str]] = None) -> None:
    """Print a table of the parameters that configs train: ``tools/count_parameters.py CONFIG...``."""
    parser = argparse.ArgumentParser(description="Count what configs train. Nothing is downloaded.")
    parser.add_argument("configs", nargs="+", metavar="CONFIG", help=f"files, or parts: {EXAMPLES[SEGMENTATION]}")
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=OptionsAction,
        metavar="KEY=VALUE",
        help="change all of them: model.backbone.timm_kwargs.img_size=512",
    )
    args = parser.parse_args(argv)
    print("| config | trained in the ViT | trained in the heads | trained | whole model |")
    print("|---|---|---|---|---|")
    for config in args.configs:
        cfg = read_config(parser, config, args.cfg_options)
        try:
            counts = count_parameters(build_on_meta(cfg))
        except InputError as error:
            parser.error(f"{config}: {error}")
        figures = (counts.backbone_trained, counts.heads_trained, counts.trained, counts.whole)
        print(f"| {config} | " + " | ".join(f"{figure / 1e6:.3f}M" for figure in figures) + " |", flush=True)
