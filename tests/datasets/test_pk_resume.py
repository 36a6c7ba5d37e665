"""A run on batches of P classes with K images that was stopped goes on with the batches that would have come."""

from __future__ import annotations

import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner
from PIL import Image
from torch import Tensor, nn

from ..recognition import write_vtab

BATCH, CLASSES = 6, 4


def load(item: dict[str, Any]) -> dict[str, Any]:
    """Read an image and augment it: the mean colour of a random column."""
    pixels = np.asarray(Image.open(item["img_path"]), np.float32) / 255
    colour = pixels[:, np.random.randint(pixels.shape[1])].mean(axis=0)
    return dict(inputs=torch.from_numpy(colour), labels=item["gt_label"], paths=item["img_path"])


class Colours(BaseModel):
    """A linear classifier of colours that remembers its batches."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, CLASSES)
        self.seen: list[list[tuple[str, int, float]]] = []

    def forward(self, inputs: list[Tensor], labels: list[int], paths: list[str], mode: str = "loss") -> Any:
        batch = torch.stack(inputs)
        self.seen.append([(path, label, x.sum().item()) for path, label, x in zip(paths, labels, batch)])
        return dict(loss=nn.functional.cross_entropy(self.head(batch), torch.tensor(labels)))


def run(data: Path, work_dir: Path, by_epoch: bool, resume_from: str = "") -> Colours:
    """Train for 10 iterations: two epochs and a half of 4 batches, 24 images."""
    torch.manual_seed(0)
    model = Colours()
    loop = dict(by_epoch=True, max_epochs=3) if by_epoch else dict(by_epoch=False, max_iters=10)
    dataset = dict(type="VTABDataset", data_root=str(data), dataset="mine", split="train800", pipeline=[load])
    runner = Runner(
        model=model,
        work_dir=str(work_dir),
        train_dataloader=dict(
            batch_size=BATCH,
            num_workers=0,
            dataset=dataset,
            sampler=dict(type="PKSampler", batch_size=BATCH, classes_per_batch=3),
        ),
        train_cfg=loop,
        optim_wrapper=dict(optimizer=dict(type="AdamW", lr=0.1)),
        default_hooks=dict(checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=1)),
        custom_hooks=[dict(type="ExactResumeHook")],
        load_from=resume_from or None,
        resume=bool(resume_from),
        experiment_name=uuid.uuid4().hex,
        log_level="WARNING",
    )
    runner.train()
    return model


@pytest.mark.parametrize("by_epoch", [True, False])
def test_a_resumed_run_sees_the_batches_that_would_have_come(by_epoch: bool, tmp_path: Path) -> None:
    data = write_vtab(tmp_path / "data", "mine", train=24, num_classes=CLASSES)
    whole = run(data, tmp_path / "whole", by_epoch)
    assert len(whole.seen) == (12 if by_epoch else 10)
    for batch in whole.seen:
        assert sorted(Counter(label for _, label, _ in batch).values()) == [2, 2, 2]
    first, second = ([path for batch in whole.seen[i : i + 4] for path, *_ in batch] for i in (0, 4))
    assert sorted(first) == sorted(second) != first != second  # every image once, in another order
    resumed = run(data, tmp_path / "resumed", by_epoch, str(tmp_path / "whole" / "iter_6.pth"))
    assert resumed.seen == whole.seen[6:]  # the middle of the second epoch; images and their augmentation
    assert torch.equal(resumed.head.weight, whole.head.weight)
