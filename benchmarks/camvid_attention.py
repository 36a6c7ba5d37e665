"""How much attention patches and the class token pay to prompts as training goes on.

    python -m benchmarks.camvid_attention --work-dir work_dirs/camvid_study

Reads the checkpoints that camvid.py keeps of seed 0, and prints one line for each: the share of attention, in percent,
that goes to all prompts of a block together, as a mean over heads and the first images of the validation set.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS, init_default_scope
from torch import Tensor

from benchmarks.camvid import METHODS, ROOT
from davpt_seg import compat
from davpt_seg.core import PromptedViT
from davpt_seg.visualization import class_token_prompt_attention, prompt_attention


def validation_images(cfg: Config, count: int) -> Tensor:
    """The first images of the validation set, cropped as in training, normalised, (count, 3, 112, 112)."""
    dataset = DATASETS.build(cfg.val_dataloader.dataset)
    preprocess = MODELS.build(cfg.model.data_preprocessor)
    height, width = cfg.model.test_cfg.crop_size
    samples = [dataset[i] for i in range(count)]
    crops = [sample["inputs"][:, -height:, :width] for sample in samples]
    return preprocess(dict(inputs=crops), False)["inputs"]


def shares(model: PromptedViT, images: Tensor, block: int) -> tuple[float, float]:
    """Percent of a patch's and of the class token's attention that the block's prompts get."""
    patches = prompt_attention(model, images, block).sum(1).mean()
    class_token = class_token_prompt_attention(model, images, block).sum(1).mean()
    return 100 * patches.item(), 100 * class_token.item()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work-dir", type=Path, default=Path("work_dirs/camvid_study"), metavar="DIR")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=["vpt_deep", "davpt"])
    parser.add_argument("--regime", default="40", help="all or 40 training images")
    parser.add_argument("--blocks", nargs="+", type=int, default=[2, 5, 8, 11])
    parser.add_argument("--images", type=int, default=16)
    args = parser.parse_args()
    init_default_scope("mmseg")
    compat.allow_mmengine_checkpoints()
    print("| method | iteration |", *(f"block {b}, patches | class token |" for b in args.blocks))
    print("|---|---|" + "---|" * 2 * len(args.blocks))
    for method in args.methods:
        cfg = Config.fromfile(ROOT / "configs" / f"{METHODS[method]}.py")
        model = MODELS.build(cfg.model).backbone.eval()
        images = validation_images(cfg, args.images)
        initial = {"0": None}
        checkpoints = (args.work_dir / "main" / method / args.regime / "0").glob("iter_*.pth")
        found = {path.stem.split("_")[1]: path for path in sorted(checkpoints, key=lambda path: int(path.stem[5:]))}
        for step, path in {**initial, **found}.items():
            if path:
                state = torch.load(path, map_location="cpu")["state_dict"]
                model.load_state_dict({k[9:]: v for k, v in state.items() if k.startswith("backbone.")})
            cells = [f"{share:.1f} |" for block in args.blocks for share in shares(model, images, block)]
            print(f"| {method} | {step} |", *cells)


if __name__ == "__main__":
    main()
