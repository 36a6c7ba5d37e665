"""CamVid in the check for GPUs: data, crops, scores, statistics, and that one failing arm loses no other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.metrics import jaccard_score

from .gpu import part

camvid, evidence, training, scale = (part(f"gpu.{name}") for name in ("camvid", "evidence", "training", "scale"))
report, schedule = part("gpu.report"), part("gpu.schedule")
SMOKE = scale.smoke()


@pytest.fixture
def setup() -> Any:
    return evidence.load(SMOKE, None, None)


def test_crops_move_images_and_labels_alike_and_what_lies_outside_is_void() -> None:
    generator = torch.Generator().manual_seed(0)
    cells = torch.randint(camvid.NUM_CLASSES, (64, 1, 3, 4), generator=generator).float()
    labels = torch.nn.functional.interpolate(cells, (48, 64), mode="nearest-exact")[:, 0].byte()
    images = (20 * labels[:, None] + 10).expand(-1, 3, -1, -1).contiguous()
    cropped, moved = camvid.augmented(camvid.Split(images, labels), (42, 56), generator)
    mean, std = (torch.tensor(values)[:, None, None] for values in (camvid.MEAN, camvid.STD))
    value = ((cropped * std + mean) - 10) / 20
    inside = moved != camvid.VOID
    assert set(moved.unique().tolist()) == {*range(camvid.NUM_CLASSES), camvid.VOID}
    exact = (value[:, 0] - moved).abs() < 0.01
    assert exact[inside].float().mean() > 0.8  # the others are on an edge, where bilinear mixes
    assert 0.05 < (~inside).float().mean() < 0.6
    assert (cropped[:, 0][~inside].abs() < 1e-5).float().mean() > 0.8  # the mean colour


def test_half_of_the_crops_are_mirrored() -> None:
    ramp = torch.arange(64).expand(200, 3, 48, 64).byte().contiguous()
    labels = torch.zeros(200, 48, 64).byte()
    crops, _ = camvid.augmented(camvid.Split(ramp, labels), (28, 42), torch.Generator().manual_seed(0))
    rising = crops[:, 0, 14, 26] > crops[:, 0, 14, 16]
    assert 70 < rising.sum() < 130


def test_the_score_is_scikit_learns(setup: Any) -> None:
    trainer = training.Trainer(setup, "vpt_deep", seed=0, steps=4)
    for _ in range(4):
        trainer.step()
    score, each = trainer.score()
    trainer.model.eval()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        logits = trainer.model(camvid.normalised(setup.test.images))
    size = setup.test.labels.shape[1:]
    found = torch.nn.functional.interpolate(logits.float(), size, mode="bilinear").argmax(1).flatten()
    truth = setup.test.labels.long().flatten()
    assert len(truth.unique()) == camvid.NUM_CLASSES  # or a class that does not occur would count as 0 below
    expected = 100 * jaccard_score(truth, found, average=None, labels=range(camvid.NUM_CLASSES))
    np.testing.assert_allclose(each, expected, rtol=1e-6)
    assert score == pytest.approx(expected.mean())


def test_a_paired_interval_is_scipys() -> None:
    ours, theirs = {0: 41.0, 1: 43.5, 2: 40.1, 4: 44.0}, {0: 38.0, 1: 39.0, 2: 39.5, 3: 0.0, 4: 40.0}
    found = evidence.paired(ours, theirs)
    seeds = [0, 1, 2, 4]
    low, high = stats.ttest_rel([ours[i] for i in seeds], [theirs[i] for i in seeds]).confidence_interval(0.95)
    assert (found.mean - found.half, found.mean + found.half) == pytest.approx((low, high))
    assert found.pairs == 4


def test_a_single_pair_has_no_interval() -> None:
    assert np.isnan(evidence.paired({0: 2.0}, {0: 1.0}).half)


@pytest.mark.parametrize(("seconds", "epochs"), [(100, 9), (19, 1), (1, 1), (1e6, 60)])
def test_the_number_of_epochs_fits_the_time(seconds: float, epochs: int) -> None:
    assert evidence.plan(seconds, epoch=10, once=5, most=60) == epochs


def test_a_method_that_lacks_memory_loses_no_other(setup: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = training.Trainer.step

    def lacking(trainer: Any) -> Any:
        if "lora" in str([name for name, _ in trainer.model.named_parameters()]):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return step(trainer)

    lines = report.Report(tmp_path / "check.json", {})
    seconds = {name: (0.001, 0.001) for name in ("vpt_deep", "lora", "linear")}
    monkeypatch.setattr(training.Trainer, "step", lacking)
    evidence.train(lines, setup, schedule.Schedule(1, ["evidence"]), seconds)
    found = {line.name: line.status for line in lines.lines}
    assert found["seed 0: lora"] == found["seed 1: lora"] == "OUT OF MEMORY"
    assert found["result: linear"] == found["result: vpt_deep"] == "measured"
    assert "result: lora" not in found
    assert lines.lines[-1].figures["paired"]["pairs"] == SMOKE.seeds


def test_without_weights_or_data_the_part_is_skipped_by_name(tmp_path: Path) -> None:
    lines = report.Report(tmp_path / "check.json", {})
    sizes = scale.Scale(torch.device("cpu"), smoke=False)
    evidence.run(lines, sizes, schedule.Schedule(1, ["evidence"]), weights=tmp_path / "vit.safetensors")
    (line,) = lines.lines
    assert line.status == "skipped"
    assert "--camvid not given" in line.detail
    assert "--weights" not in line.detail
