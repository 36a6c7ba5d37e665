"""Time of a detector's training step beside that of its frozen ViT, as ratios.

    python benchmarks/detector_time.py --trunks vits14 vitb --image-size 448 --batch-size 1 --threads 1

Each detector is composed by words, ``method=vpt_deep+zero_start,head=HEAD,trunk=TRUNK,data=coco``, with random weights;
the images are random, with five objects each. Two arms take turns in each round:

- **trunk**: the forward pass of the ViT with prompts, a cheap loss on its map, and the backward pass to the prompts.
- **detector**: the complete step, with neck, heads, their losses, and the backward pass to all that learns.

Neither has an optimizer's step. A ratio is the median (and interquartile range) of detector to trunk within rounds.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from functools import partial
from typing import Any, Optional

import torch
from measuring import add_options, header, in_turns, measuring, ratio, timed, train_step
from mmdet.testing import demo_mm_inputs
from mmengine.registry import MODELS, init_default_scope
from torch import Tensor, nn

from davpt_seg.experiments.compose import compose
from davpt_seg.terminal.ending import command
from davpt_seg.terminal.parser import CommandParser

HEADS = ("fcos_small", "fcos", "faster_rcnn", "mask_rcnn", "dino")
OBJECTS = 5  # in each image


def build(trunk: str, head: str, options: argparse.Namespace) -> nn.Module:
    """Build a detector for 80 classes with random weights, in training mode."""
    model = compose(method="vpt_deep+zero_start", head=head, trunk=trunk, data="coco").model
    for key in ("weights", "pretrained"):
        model.backbone.pop(key, None)
    init_default_scope("mmdet")
    torch.manual_seed(0)
    return MODELS.build(model).to(options.device).train()


def trunk_losses(model: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """Run the ViT, and return a loss with a gradient for every element of its map."""
    return {"loss_task": model.backbone(images)[-1].square().mean()}


def detector_losses(model: nn.Module, images: Tensor, samples: Sequence[Any]) -> dict[str, Tensor]:
    """Run the complete detector, and return its losses."""
    return {"loss": model.parse_losses(model.loss(images, samples))[0]}


def measure(trunk: str, head: str, options: argparse.Namespace) -> dict[str, list[float]]:
    """Measure both arms: seconds of each round."""
    model = build(trunk, head, options)
    shapes = [(3, options.image_size, options.image_size)] * options.batch_size
    drawn = demo_mm_inputs(
        options.batch_size, shapes, num_items=[OBJECTS] * len(shapes), num_classes=80, with_mask="mask" in head
    )
    batch = model.data_preprocessor(drawn, True)
    images, samples = batch["inputs"], batch["data_samples"]
    arms = {
        "trunk": partial(trunk_losses, model, images),
        "detector": partial(detector_losses, model, images, samples),
    }

    def step(name: str) -> float:
        model.zero_grad()
        return timed(partial(train_step, arms[name], None, options), options)

    return in_turns({name: partial(step, name) for name in arms}, options, f"{head} on {trunk}")


@command
def main(argv: Optional[Sequence[str]] = None) -> None:
    """Print a table with a row for each head."""
    parser = CommandParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trunks", nargs="+", default=("vits14", "vitb"), help="default: vits14 vitb")
    parser.add_argument("--heads", nargs="+", default=HEADS, help=f"default: {' '.join(HEADS)}")
    add_options(parser, batch_size=1, rounds=5)
    options = parser.parse_args(argv)
    print(header(", ".join(options.trunks), options), flush=True)
    measured: dict[str, dict[str, dict[str, list[float]]]] = {}
    with measuring(options.threads):
        for trunk in options.trunks:
            measured[trunk] = {head: measure(trunk, head, options) for head in options.heads}
    print("\n" + table(measured))
    if options.json:
        options.json.write_text(json.dumps(measured, indent=2))


def table(measured: dict[str, dict[str, dict[str, list[float]]]]) -> str:
    """Write the ratios as a Markdown table."""
    trunks = list(measured)
    lines = [
        f"| head | {' | '.join(f'{trunk}: detector to trunk' for trunk in trunks)} |",
        "|---" * (len(trunks) + 1) + "|",
    ]
    for head in measured[trunks[0]]:
        cells = [str(ratio(measured[trunk][head]["detector"], measured[trunk][head]["trunk"])) for trunk in trunks]
        lines.append(f"| `{head}` | {' | '.join(cells)} |")
    medians = {
        trunk: [statistics.median(arms["trunk"]) for arms in heads.values()] for trunk, heads in measured.items()
    }
    steps = ", ".join(f"{trunk} {statistics.median(found):.3f}" for trunk, found in medians.items())
    return "\n".join([*lines, "", f"Step of the trunk alone, s: {steps}"])


if __name__ == "__main__":
    main()
