#!/usr/bin/env python
"""Draw what a trained model sees: python tools/demo_pictures.py CONFIG CHECKPOINT --out DIR (--help for more)."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional, Union

import mmcv
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.device import get_device
from mmengine.model import BaseModel
from mmengine.registry import DATASETS
from rich.progress import track

from davpt_seg.apis import load_trained
from davpt_seg.commands.config_argument import add_cfg_options, check_data, read_config
from davpt_seg.core import PromptedViT
from davpt_seg.errors import InputError
from davpt_seg.terminal.ending import command
from davpt_seg.terminal.parser import CommandParser
from davpt_seg.visualization import prompt_attention, prompt_contribution, prompt_similarity
from davpt_seg.visualization.curves import loss_curves, read_scalars
from davpt_seg.visualization.detections import Detections, detections_of, true_objects
from davpt_seg.visualization.pictures import Row, demo_sheet

HELP = """\
Draw what a trained model sees. Works for any mmseg or mmdet config whose backbone is a PromptedViT with prompts, and
whose validation set has label maps or boxes.

DIR/predictions.png has a row an image, evenly spaced over the validation set:
  truth, prediction      a colour a class; of a detector, boxes with names, and scores of SCORE or more in percent
  nearest prompt         the most similar prompt of each patch, in the space that the metric losses shape (last guided
                         block). A prompt of one class has that class's colour, so this should resemble the truth;
                         prompts that several classes share are grey. Omitted without guidance.
  attention to prompts   share of each patch's attention on prompts instead of other patches (same block, or the last
                         with prompts); for zero-start prompts, their contribution relative to the attention's output
DIR/loss.png has the training losses and the validation mIoU or AP, from the newest training log under the work dir.

Example: python tools/demo_pictures.py CONFIG "$(cat WORK_DIR/last_checkpoint)" --out DIR"""


@command
def main(argv: Optional[Sequence[str]] = None) -> None:
    """Run the command line; ``argv`` defaults to ``sys.argv[1:]``."""
    parser = CommandParser(description=HELP, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", help="config of the training: a file or a name")
    parser.add_argument("checkpoint", help="a .pth file that tools/train.py wrote")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the figures")
    parser.add_argument("--images", type=int, default=6, metavar="N", help="rows; default: %(default)s")
    parser.add_argument(
        "--score", type=float, default=0.2, help="of a detector: lowest score of boxes; default: %(default)s"
    )
    parser.add_argument("--work-dir", type=Path, metavar="DIR", help="folder of the log; default: the checkpoint's")
    add_cfg_options(parser, "as in training")
    args = parser.parse_args(argv)
    if args.images < 1:
        raise InputError("--images must be at least 1")

    cfg = read_config(args.config, args.cfg_options)
    check_data(cfg, ("val",))
    model, backbone = load_model(cfg, args.checkpoint)
    dataset = DATASETS.build(cfg.val_dataloader.dataset)
    indices = np.linspace(0, len(dataset) - 1, min(args.images, len(dataset))).round().astype(int)
    classes = dataset.metainfo["classes"]
    assigned = np.zeros((0, len(classes)), dtype=bool)
    if backbone.guidance:
        assigned = backbone.guidance.mapping.speaks_for().cpu().numpy()
    palette = np.asarray(dataset.metainfo["palette"])
    predicted = (draw_row(model, backbone, dataset[int(i)], args.score) for i in indices)
    rows = [*track(predicted, total=len(indices), description="predicting")]
    args.out.mkdir(parents=True, exist_ok=True)
    sheet = demo_sheet(rows, classes, palette, assigned, backbone.starts_at_zero)
    sheet.savefig(args.out / "predictions.png")
    print(args.out / "predictions.png")
    work_dir = args.work_dir or Path(args.checkpoint).parent
    log = newest_log(work_dir)
    if log is None:
        print(f"no loss.png: there is no scalars.json with a training loss under {work_dir}; give --work-dir")
        return
    loss_curves(read_scalars(log)).savefig(args.out / "loss.png")
    print(args.out / "loss.png")


def load_model(cfg: Config, checkpoint: str) -> tuple[BaseModel, PromptedViT]:
    """Build a config's model with a checkpoint, strictly, in eval mode; return it and its prompted ViT.

    Raises:
        InputError: the file is no checkpoint or belongs to another config, or the config has no ViT with prompts.
    """
    model = load_trained(cfg, checkpoint)
    found = [m for m in model.modules() if isinstance(m, PromptedViT) and m.prompts and any(m.prompts.counts)]
    if not found:
        raise InputError(f"{cfg.filename}: no backbone dict(type='PromptedViT', prompts=dict(...)), so nothing to draw")
    return model.to(get_device()), found[0]


def draw_row(
    model: BaseModel,
    backbone: PromptedViT,
    item: dict[str, Any],
    score: float,
) -> Row:
    """Predict one item of the validation set, and compute its nearest prompts and attention to prompts.

    Raises:
        InputError: the sizes of the label map and the original image differ.
    """
    batch = pseudo_collate([item])
    with torch.no_grad():
        images = model.data_preprocessor(batch, False)["inputs"]
        (sample,) = model.test_step(batch)
    image = mmcv.imread(sample.img_path, channel_order="rgb")
    truth: Union[np.ndarray, Detections]
    prediction: Union[np.ndarray, Detections]
    if "pred_instances" in sample:
        prediction = detections_of(sample.pred_instances).above(score)
        truth = true_objects(sample, masks=prediction.masks is not None)
    else:
        truth, prediction = (m.data.squeeze(0).cpu().numpy() for m in (sample.gt_sem_seg, sample.pred_sem_seg))
        if truth.shape != prediction.shape:
            raise InputError(f"{sample.img_path}: load annotations after Resize in val_dataloader's pipeline")
    if backbone.guidance:
        block, nearest = (
            backbone.guidance.blocks[-1],
            prompt_similarity(backbone, images)[0].argmax(dim=0).cpu().numpy(),
        )
    else:
        assert backbone.prompts is not None  # checked by load_model
        block, nearest = max(i for i, count in enumerate(backbone.prompts.counts) if count), None
    return Row(
        image=image,
        truth=truth,
        prediction=prediction,
        attention=_attention(backbone, images, block).cpu().numpy(),
        nearest=nearest,
        extent=tuple(side / patch for side, patch in zip(sample.img_shape, backbone.patch_size)),
    )


def _attention(backbone: PromptedViT, images: torch.Tensor, block: int) -> torch.Tensor:
    """Return the share of each patch's attention on a block's prompts (h, w), or their contribution, for one image."""
    if not backbone.starts_at_zero:
        return prompt_attention(backbone, images, block)[0].sum(dim=0)
    grid = backbone.grid(images)
    return prompt_contribution(backbone, images, block)[0, backbone.patches(grid)].unflatten(0, grid)


def newest_log(work_dir: Path) -> Optional[Path]:
    """Find the ``scalars.json`` of a training that was last written under a folder; testing writes others."""
    logs = [path for path in work_dir.rglob("scalars.json") if '"loss":' in path.read_text()]
    return max(logs, key=lambda path: path.stat().st_mtime, default=None)


if __name__ == "__main__":
    main()
