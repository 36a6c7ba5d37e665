"""Trainings of versions before 0.4, whose LoRA was peft's: the same steps today, and resumed today."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any, Optional

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from davpt_seg.engine import ExactResumeHook
from davpt_seg.engine.resumed_rates_hook import ResumedRatesHook
from davpt_seg.models import PromptedViTBackbone

from ..core.peft_lora import drop_in_training, inject, old_state
from ..core.tiny import TINY
from .test_methods_in_mmengine import Experiment, Images, quick_runner

__all__ = ["quick_runner"]

LORA = dict(rank=2, dropout=0.2, targets=["attn.qkv", "mlp.fc1"])
TUNED = ["blocks.*.norm2.weight", "blocks.*.attn.proj.bias", "cls_token"]  # before, between and after LoRA's
GROUPS: dict[str, Optional[dict[str, Any]]] = {
    "one group": None,
    "a group a parameter": dict(custom_keys={"norm2": dict(lr_mult=0.1), "lora_A": dict(lr_mult=2.0)}),
}


class Losses(Hook):
    """Keeps the losses, and lets peft's dropout drop as version 0.3 did."""

    def __init__(self) -> None:
        self.found: list[float] = []

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        drop_in_training(runner.model)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        self.found.append(outputs["loss"].item())


def experiment(old: bool) -> Experiment:
    torch.manual_seed(0)
    model = Experiment("linear")
    model.backbone = PromptedViTBackbone(
        "vit_tiny_patch16_224",
        timm_kwargs=TINY,
        norm_maps=True,
        adapters=[] if old else [dict(type="lora", **LORA)],
        tuned=TUNED,
    )
    if old:
        inject(model.backbone, **LORA)
    return model


def train(model: Experiment, folder: Path, groups: str, **where_from: Any) -> list[float]:
    """Train for ten iterations, with a checkpoint after five; return the losses."""
    paramwise = {} if GROUPS[groups] is None else dict(paramwise_cfg=GROUPS[groups])
    losses = Losses()
    runner = Runner(
        model=model,
        work_dir=str(folder),
        train_dataloader=dict(
            batch_size=2,
            num_workers=0,
            dataset=Images(),
            sampler=dict(type="InfiniteSampler", shuffle=True, seed=3),
            collate_fn=dict(type="default_collate"),
        ),
        train_cfg=dict(type="IterBasedTrainLoop", max_iters=10),
        optim_wrapper=dict(type="OptimWrapper", optimizer=dict(type="AdamW", lr=1e-2, weight_decay=0.1), **paramwise),
        param_scheduler=dict(type="PolyLR", begin=0, end=10, by_epoch=False),
        default_hooks=dict(checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=5)),
        custom_hooks=[ExactResumeHook(), ResumedRatesHook(), losses],
        randomness=dict(seed=0),
        experiment_name=uuid.uuid4().hex,
        log_level="ERROR",
        **where_from,
    )
    runner.train()
    return losses.found


@pytest.mark.parametrize("groups", GROUPS)
def test_ten_steps_and_five_resumed_ones_have_the_losses_of_pefts_form(groups: str, tmp_path: Path) -> None:
    theirs, ours = experiment(old=True), experiment(old=False)
    ours.load_state_dict(old_state(theirs), strict=True)
    expected = train(theirs, tmp_path / "old", groups)
    assert train(ours, tmp_path / "new", groups) == expected

    half = tmp_path / "old" / "iter_5.pth"
    content = torch.load(half, weights_only=False)
    content["state_dict"] = {name.replace(".base_layer.", "."): value for name, value in content["state_dict"].items()}
    torch.save(content, half)
    resumed = experiment(old=False)
    assert train(resumed, tmp_path / "resumed", groups, load_from=str(half), resume=True) == expected[5:]
    for name, value in ours.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name
