"""``epochs=`` for segmentation: the schedule counts epochs, whatever it counted before."""

from __future__ import annotations

from pathlib import Path

import pytest

from davpt_seg.errors import InputError
from davpt_seg.experiments.catalog import config_root
from davpt_seg.experiments.compose import compose


@pytest.mark.parametrize("schedule", ["adamw_iters", "adamw_400i", "adamw_15e", "released_160k", "mmseg_160k", "demo"])
@pytest.mark.parametrize("epochs", [1, 4, 5, 30, 100])
def test_every_schedule_ends_with_its_last_epoch(schedule: str, epochs: int) -> None:
    cfg = compose(head="linear", trunk="vitti", data="camvid_168x224", schedule=schedule, epochs=epochs)
    assert cfg.train_cfg == dict(type="EpochBasedTrainLoop", max_epochs=epochs, val_interval=max(1, epochs // 10))
    stages = cfg.param_scheduler
    assert all(stage.by_epoch and stage.convert_to_iter_based for stage in stages)
    assert [stage.begin for stage in stages] == [0, *(stage.end for stage in stages[:-1])]  # one after the other
    assert stages[-1].end == epochs
    assert all(stage.end - stage.begin == stage.T_max for stage in stages if "T_max" in stage)
    assert cfg.default_hooks.checkpoint.by_epoch and cfg.log_processor.by_epoch
    assert cfg.train_dataloader.sampler.type == "DefaultSampler" and cfg.train_dataloader.sampler.shuffle


def test_warm_up_keeps_its_share_of_at_least_one_epoch() -> None:
    def ends(epochs: int) -> list[int]:
        cfg = compose(head="linear", trunk="vitti", data="camvid_168x224", schedule="adamw_iters", epochs=epochs)
        return [stage.end for stage in cfg.param_scheduler]

    assert [ends(epochs) for epochs in (4, 5, 40, 100)] == [[4], [1, 5], [2, 40], [5, 100]]  # 20 of 400 are 5 %


STEPS = """
param_scheduler = {stages}
train_cfg = dict(type="IterBasedTrainLoop", max_iters=400, val_interval=100)
"""
STEP = 'dict(type="MultiStepLR", milestones=[200, 300], by_epoch=False{more})'


@pytest.mark.parametrize(
    "stages", [f"[{STEP}]", STEP.replace("{more}", "{more}, _delete_=True")], ids=["list", "alone"]
)
@pytest.mark.parametrize("more", ["", ", begin=0, end=400"])
def test_the_steps_of_a_schedule_keep_their_share(stages: str, more: str, tmp_path: Path) -> None:
    """A rate that never falls, because its milestones are behind the end, would be no error."""
    path = tmp_path / "steps.py"
    base = config_root() / "_base_" / "schedules" / "adamw_iters.py"
    path.write_text(f"_base_ = {str(base)!r}" + STEPS.format(stages=stages.format(more=more)))
    cfg = compose(head="linear", trunk="vitti", data="camvid_168x224", schedule=str(path), iters=100)
    (stage,) = cfg.param_scheduler
    assert stage.milestones == [50, 75]
    assert stage.get("end", 100) == cfg.train_cfg.max_iters == 100
    cfg = compose(head="linear", trunk="vitti", data="camvid_168x224", schedule=str(path), epochs=8)
    assert cfg.param_scheduler[0].milestones == [4, 6]


def test_iters_and_epochs_are_not_both_set() -> None:
    with pytest.raises(InputError, match="iters=30 and epochs=2 both set the length"):
        compose(head="linear", trunk="vitti", data="camvid_168x224", schedule="adamw_iters", iters=30, epochs=2)


@pytest.mark.parametrize("words", [dict(data="demo_boxes"), dict(data="demo_scenes", schedule="adamw_15e")])
def test_a_schedule_that_counts_epochs_draws_the_images_in_passes(words: dict[str, str]) -> None:
    if words["data"] == "demo_boxes":
        pytest.importorskip("mmdet")
    cfg = compose(method="linear", head="fcos" if "boxes" in words["data"] else "linear", trunk="vitti", **words)
    assert cfg.train_cfg.max_epochs and cfg.train_dataloader.sampler == dict(type="DefaultSampler", shuffle=True)
