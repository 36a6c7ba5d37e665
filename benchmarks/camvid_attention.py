"""How much attention patches and the class token pay to prompts as training goes on, and what guidance reaches.

    python -m benchmarks.camvid_attention --work-dir work_dirs/camvid_study

Reads the checkpoints that camvid.py keeps of seed 0, and prints one line for each: the share of attention, in percent,
that goes to all prompts of a block together, as a mean over heads and the first validation images. Zero-start
prompts take none: of those it is the norm of what they add, in percent of the attention output's. And it prints what
MetricLossHook(log_stats=True) logged, as a mean over the 100 iterations before: cosines of pairs of the same class and
of different ones, and the percentage of patches whose nearest prompt speaks for their class.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS, init_default_scope
from torch import Tensor

from davpt_seg import compat
from davpt_seg.apis.checkpoint import read_checkpoint
from davpt_seg.core import PromptedViT
from davpt_seg.visualization import class_token_prompt_attention, prompt_attention, prompt_contribution

LOGGED = {"patch_cos_positive": 1, "patch_cos_negative": 1, "patch_nearest_right": 100}


def validation_images(cfg: Config, count: int) -> Tensor:
    """The first images of the validation set, cropped as in training, normalised, (count, 3, 112, 112)."""
    dataset = DATASETS.build(cfg.val_dataloader.dataset)
    preprocess = MODELS.build(cfg.model.data_preprocessor)
    height, width = cfg.model.test_cfg.crop_size
    samples = [dataset[i] for i in range(count)]
    crops = [sample["inputs"][:, -height:, :width] for sample in samples]
    return preprocess(dict(inputs=crops), False)["inputs"]


def shares(model: PromptedViT, images: Tensor, block: int) -> tuple[float, float]:
    """Percent of a patch's and of the class token's attention that the block's prompts get, or of its norm add."""
    if model.starts_at_zero:
        added = 100 * prompt_contribution(model, images, block)
        return added[:, model.patches(model.grid(images))].mean().item(), added[:, 0].mean().item()
    patches = prompt_attention(model, images, block).sum(1).mean()
    class_token = class_token_prompt_attention(model, images, block).sum(1).mean()
    return 100 * patches.item(), 100 * class_token.item()


def logged(folder: Path, step: int) -> list[str]:
    """Means of what was logged in the 100 iterations before a step, as cells; dashes where nothing was."""
    (log,) = folder.glob("*/vis_data/scalars.json")
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    cells = []
    for name, scale in LOGGED.items():
        values = [row[name] for row in rows if name in row and step - 100 < row["step"] <= step]
        cells.append(f"{scale * statistics.mean(values):.3g} |" if values else "- |")
    return cells


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work-dir", type=Path, default=Path("work_dirs/camvid_study"), metavar="DIR")
    parser.add_argument(
        "--runs", nargs="+", default=["main/vpt_deep", "main/davpt"], help="stage/name, as camvid --list"
    )
    parser.add_argument("--regime", default="40", help="all or 40 training images")
    parser.add_argument("--blocks", nargs="+", type=int, default=[2, 5, 8, 11])
    parser.add_argument("--images", type=int, default=16)
    args = parser.parse_args()
    init_default_scope("mmseg")
    compat.allow_mmengine_checkpoints()
    heads = [f"block {b}: patches | class token |" for b in args.blocks]
    print("| run | iteration |", *heads, "cosine, same class | others | nearest right |")
    print("|---|---|" + "---|" * (2 * len(args.blocks) + len(LOGGED)))
    for run in args.runs:
        folder = args.work_dir / run / args.regime / "0"
        (config,) = folder.glob("*.py")  # as it was trained
        cfg = Config.fromfile(config)
        torch.manual_seed(0)
        model = MODELS.build(cfg.model).backbone.eval()
        model.init_weights()
        images = validation_images(cfg, args.images)
        steps = sorted(int(path.stem[5:]) for path in folder.glob("iter_*.pth"))
        for step in [0, *steps]:
            if step:
                state = read_checkpoint(str(folder / f"iter_{step}.pth"))["state_dict"]
                own = {name[9:]: value for name, value in state.items() if name.startswith("backbone.")}
                model.load_state_dict(own)
            cells = [f"{share:.1f} |" for block in args.blocks for share in shares(model, images, block)]
            print(f"| {run} | {step} |", *cells, *logged(folder, step))


if __name__ == "__main__":
    main()
