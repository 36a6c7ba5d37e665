"""Memory of a frozen trunk in low precision, and the differences of maps and prompts' gradients to float32."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from davpt_seg.core import PromptedViT
from davpt_seg.errors import InputError
from davpt_seg.terminal.ending import command
from davpt_seg.terminal.parser import CommandParser

KINDS: dict[str, dict[str, Any]] = {
    "float32": {},
    "bfloat16": dict(trunk_dtype="bfloat16"),
    "float16": dict(trunk_dtype="float16"),
    "int8": dict(trunk_quantization="int8"),
    "int8, bfloat16": dict(trunk_quantization="int8", trunk_dtype="bfloat16"),
}


def batch(folder: Path, number: int, side: int) -> Tensor:
    """Return the first images of a folder as squares, normalised by ImageNet's constants, (B, 3, side, side)."""
    images = [Image.open(path).convert("RGB").resize((side, side)) for path in sorted(folder.iterdir())[:number]]
    values = torch.from_numpy(np.stack([np.asarray(image) for image in images])).permute(0, 3, 1, 2) / 255
    mean, std = (torch.tensor(each)[:, None, None] for each in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    return (values - mean) / std


def measured(model: PromptedViT, images: Tensor) -> tuple[float, Tensor, Tensor]:
    """Return the megabytes of frozen tensors, the last map, and the gradients of all prompts for a fixed loss on it."""
    found = model(images).maps[0]
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    weights = torch.randn(found.shape, generator=torch.Generator().manual_seed(0))
    gradients = torch.autograd.grad((found * weights).sum(), learned)
    frozen = [*model.trunk.parameters(), *model.trunk.buffers()]
    size = sum(tensor.numel() * tensor.element_size() for tensor in frozen)
    return size / 1e6, found.detach(), torch.cat([gradient.flatten() for gradient in gradients])


@command
def main(argv: Optional[Sequence[str]] = None) -> None:
    """Print a table."""
    parser = CommandParser(description=__doc__)
    parser.add_argument("images", type=Path, help="folder of images")
    parser.add_argument("--model", default="vit_small_patch14_dinov2.lvd142m")
    parser.add_argument("--weights", required=True)
    parser.add_argument("--number", type=int, default=4, help="images")
    parser.add_argument("--side", type=int, default=224, help="side of the images, in pixels")
    args = parser.parse_args(argv)
    images = batch(args.images, args.number, args.side)
    print("| trunk | frozen, MB | difference of the last map | cosine of the prompts' gradients |\n|---|---|---|---|")
    for name, arguments in KINDS.items():
        torch.manual_seed(0)
        try:
            model = PromptedViT(
                args.model, weights=args.weights, norm_maps=True, prompts=dict(num_prompts=20), **arguments
            ).train()
        except InputError as error:  # torchao is missing
            print(f"{name}: {error}", file=sys.stderr)
            continue
        size, found, gradient = measured(model, images)
        if name == "float32":
            exact, wanted = found, gradient
        difference = (found - exact).norm() / exact.norm()
        cosine = torch.cosine_similarity(gradient.double(), wanted.double(), dim=0)
        print(f"| {name} | {size:.1f} | {100 * difference:.2f} % | {cosine:.5f} |", flush=True)


if __name__ == "__main__":
    main()
