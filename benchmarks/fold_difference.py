"""Measure how far a folded model's maps are from the unfolded model's: ``python benchmarks/fold_difference.py``."""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from typing import Optional

import torch

from davpt_seg.core import PromptedViT
from davpt_seg.terminal.ending import command
from davpt_seg.terminal.parser import CommandParser

METHODS = {
    "vpt_deep": dict(prompts=dict(num_prompts=10)),
    "e2vpt": dict(prompts=dict(num_prompts=10), adapters=[dict(type="key_value_prompts")]),
    "lora": dict(adapters=[dict(type="lora")]),
}
PRECISIONS = {
    "float64": (torch.float64, False),
    "float32": (torch.float32, False),
    "bfloat16 autocast": (torch.float32, True),
}


@torch.no_grad()
def difference(trunk: str, method: str, precision: str) -> tuple[float, float]:
    """Return the largest difference between the maps of two images, and its norm relative to that of the maps."""
    dtype, autocast = PRECISIONS[precision]
    torch.manual_seed(0)
    model = PromptedViT(trunk, **METHODS[method]).to(dtype).eval()
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.add_(0.1 * torch.randn_like(parameter))
    images = torch.randn(2, 3, 224, 224, dtype=dtype)
    folded_model = copy.deepcopy(model).fold()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        maps, folded = model(images).maps[0].double(), folded_model(images).maps[0].double()
    return (folded - maps).abs().max().item(), ((folded - maps).norm() / maps.norm()).item()


@command
def main(argv: Optional[Sequence[str]] = None) -> None:
    """Print a table."""
    parser = CommandParser(description=__doc__)
    parser.add_argument("--trunk", default="vit_base_patch16_224")
    trunk = parser.parse_args(argv).trunk
    logging.disable(logging.WARNING)  # of random weights, which are intended
    for method in METHODS:
        for precision in PRECISIONS:
            largest, share = difference(trunk, method, precision)
            print(f"{method:10} {precision:18} largest {largest:.1e}, norm {share:.1e} of the maps'")


if __name__ == "__main__":
    main()
