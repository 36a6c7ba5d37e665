"""Count of trained parameters: ``davpt-seg count``, ``tools/count_parameters.py``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional

from ..errors import InputError
from ..experiments.words import EXAMPLES, SEGMENTATION
from ..terminal.ending import command
from ..terminal.parser import CommandParser
from ..terminal.program import for_help
from .config_argument import add_cfg_options, read_config


@command
def main_count(argv: Optional[Sequence[str]] = None) -> None:
    """Print a table of the parameters that configs train."""
    parser = CommandParser(
        description="Count the parameters that configs train. Nothing is downloaded.",
        examples=for_help(
            "{count} davpt/setr_pup_vitl_ade20k baselines/linear/setr_pup_vitl_ade20k\n"
            "{count} method=lora,trunk=vits14 --cfg-options model.backbone.timm_kwargs.img_size=512"
        ),
    )
    parser.add_argument("configs", nargs="+", metavar="CONFIG", help=f"files, or parts: {EXAMPLES[SEGMENTATION]}")
    add_cfg_options(parser, "all of them: model.backbone.timm_kwargs.img_size=512")
    args = parser.parse_args(argv)
    from ..training.model import build_on_meta, count_parameters
    from ..training.refusals import step

    print("| config | trained in the ViT | trained in the heads | trained | whole model |")
    print("|---|---|---|---|---|")
    for config in args.configs:
        cfg = read_config(config, args.cfg_options)
        try:
            with step("the model cannot be built (model)"):
                counts = count_parameters(build_on_meta(cfg))
        except InputError as error:
            raise InputError(f"{config}: {error}") from error
        figures = (counts.backbone_trained, counts.heads_trained, counts.trained, counts.whole)
        print(f"| {config} | " + " | ".join(f"{figure / 1e6:.3f}M" for figure in figures) + " |", flush=True)
