"""Trainings of versions before 0.4, whose LoRA was peft's: the same steps today, and resumed today."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from davpt_seg.core.adapters.old_lora import current_name
from davpt_seg.engine import ExactResumeHook
from davpt_seg.engine.resumed_rates_hook import ResumedRatesHook
from davpt_seg.models import PromptedViTBackbone

from ..core.peft_lora import drop_in_training, inject, old_state
from ..core.tiny import TINY
from .test_methods_in_mmengine import Experiment, Images, quick_runner

__all__ = ["quick_runner"]

LORA = dict(rank=2, dropout=0.2, targets=["attn.qkv", "mlp.fc1"])
TUNED = ["blocks.*.norm2.weight", "blocks.*.attn.proj.bias", "cls_token"]  # before, between and after LoRA's
RESUMING = (ExactResumeHook, ResumedRatesHook)
GROUPS: dict[str, Optional[dict[str, Any]]] = {
    "one group": None,
    "a group a parameter": dict(custom_keys={"norm2": dict(lr_mult=0.1), "lora_A": dict(lr_mult=2.0)}),
}


class Losses(Hook):
    """Keeps the losses and the states of a resumed optimizer, and lets peft's dropout drop as version 0.3 did."""

    def __init__(self) -> None:
        self.found: list[float] = []
        self.states: dict[str, Any] = {}

    def before_train(self, runner: Runner) -> None:
        state = runner.optim_wrapper.optimizer.state
        self.states = {name: state[p] for name, p in runner.model.named_parameters() if p in state}

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


def train(
    model: Experiment, folder: Path, groups: str, resuming: Sequence[type[Hook]] = RESUMING, **where_from: Any
) -> Losses:
    """Train for ten iterations, with a checkpoint after five; return the losses and the states that were resumed."""
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
        custom_hooks=[*(hook() for hook in resuming), losses],
        randomness=dict(seed=0),
        experiment_name=uuid.uuid4().hex,
        log_level="ERROR",
        **where_from,
    )
    runner.train()
    return losses


def as_version_0_3_wrote_it(path: Path) -> str:
    """Take peft's wrapping out of a checkpoint's names."""
    content = torch.load(path, weights_only=False)
    content["state_dict"] = {name.replace(".base_layer.", "."): value for name, value in content["state_dict"].items()}
    torch.save(content, path)
    return str(path)


@pytest.mark.parametrize("groups", GROUPS)
def test_ten_steps_and_five_resumed_ones_have_the_losses_of_pefts_form(groups: str, tmp_path: Path) -> None:
    theirs, ours = experiment(old=True), experiment(old=False)
    ours.load_state_dict(old_state(theirs), strict=True)
    expected = train(theirs, tmp_path / "old", groups).found
    assert train(ours, tmp_path / "new", groups).found == expected

    half = as_version_0_3_wrote_it(tmp_path / "old" / "iter_5.pth")
    resumed = experiment(old=False)
    assert train(resumed, tmp_path / "resumed", groups, load_from=half, resume=True).found == expected[5:]
    for name, value in ours.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name


@pytest.mark.parametrize("resuming", [(ResumedRatesHook,), (*RESUMING, ExactResumeHook)], ids=["rates alone", "twice"])
@pytest.mark.parametrize("groups", GROUPS)
def test_each_parameter_resumes_with_its_own_state_whichever_hooks_convert_it(
    groups: str, resuming: Sequence[type[Hook]], tmp_path: Path
) -> None:
    theirs = experiment(old=True)
    train(theirs, tmp_path / "old", groups)
    last = as_version_0_3_wrote_it(tmp_path / "old" / "iter_10.pth")
    content = torch.load(last, weights_only=False)["optimizer"]
    indices = [index for group in content["param_groups"] for index in group["params"]]
    learned = [name for name, p in theirs.named_parameters() if p.requires_grad or groups == "one group"]
    expected = {current_name(learned[i]): content["state"][i] for i in indices if i in content["state"]}

    found = train(experiment(old=False), tmp_path / "new", groups, resuming, load_from=last, resume=True).states
    assert found.keys() == expected.keys() and any("lora_A" in name for name in found)
    for name, state in expected.items():
        assert torch.equal(found[name]["exp_avg"], state["exp_avg"]), name
