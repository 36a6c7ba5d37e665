"""The class-to-prompt mapping over a training run, its restarts and its processes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Optional

import pytest
import torch
import torch.distributed
from mmengine.config import Config
from mmengine.logging import MMLogger

from davpt_seg.core import ClassPromptMapping
from davpt_seg.engine import PromptMappingHook
from davpt_seg.engine.first_pass import images_with

from ..core.guidance.test_gather import in_processes
from ..training import by_iterations, tiny_camvid, train


def clustered(data: Path, work_dir: Path, **options: Any) -> Config:
    """Eleven classes, four prompts in each block."""
    return tiny_camvid(data, work_dir, **{"model.backbone.prompts.num_prompts": 4, **options})


TWO_EPOCHS = {"train_cfg.max_epochs": 2}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the hook's expensive steps, as they are taken."""
    names: list[str] = []
    for name in ("_first_means", "_cluster"):
        original = getattr(PromptMappingHook, name)

        def spy(self: PromptMappingHook, *args: Any, name: str = name, original: Any = original) -> None:
            names.append(name)
            original(self, *args)

        monkeypatch.setattr(PromptMappingHook, name, spy)
    return names


def test_epochs_cluster_before_training_and_after_each(camvid: Path, tmp_path: Path, calls: list[str]) -> None:
    runner = train(clustered(camvid, tmp_path, **{"train_cfg.max_epochs": 2}))
    assert calls == ["_first_means", "_cluster", "_cluster"]  # none after the last: no prompt would learn it
    mapping = runner.model.backbone.guidance.mapping
    assert mapping.clustered
    assert mapping.ever_seen.all()
    assert (mapping.class_counts > 0).any()  # of the second epoch
    log = next(Path(runner.log_dir).glob("*.log")).read_text()
    assert log.count("Classes to prompts:") == 2
    assert "prompt   3: " in log
    assert "bicyclist" in log


def test_the_first_mapping_stays_until_the_epoch_that_is_asked_for(
    camvid: Path, tmp_path: Path, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    recluster = ClassPromptMapping.recluster
    monkeypatch.setattr(
        ClassPromptMapping, "recluster", lambda self: (seen.append(int(self.class_counts.sum())), recluster(self))
    )
    train(clustered(camvid, tmp_path, **{"train_cfg.max_epochs": 4, "custom_hooks.1.from_epoch": 3}))
    assert calls == ["_first_means", "_cluster", "_cluster"]
    assert [line["epoch"] for line in lines_of(tmp_path)] == [0, 3]
    first, third = seen
    assert third <= first  # the means of one epoch, not of three


def test_an_epoch_to_cluster_from_needs_training_by_epochs(camvid: Path, tmp_path: Path) -> None:
    cfg = by_iterations(clustered(camvid, tmp_path, **{"custom_hooks.1.from_epoch": 3}), 2)
    with pytest.raises(ValueError, match="from_epoch=3: this training counts iterations, not epochs; omit it"):
        train(cfg)


def lines_of(work_dir: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (work_dir / "mapping.jsonl").read_text().splitlines()]


def without_time(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


def test_each_clustering_is_a_line_whose_last_mapping_is_the_checkpoints(camvid: Path, tmp_path: Path) -> None:
    runner = train(clustered(camvid, tmp_path, **TWO_EPOCHS))
    lines = lines_of(tmp_path)
    assert [(line["iter"], line["epoch"]) for line in lines] == [(0, 0), (3, 1)]
    saved = torch.load(tmp_path / "epoch_2.pth")["state_dict"]["backbone.guidance.mapping.prompt_of_class"]
    assert lines[-1]["prompt_of_class"] == saved.tolist()
    start = ClassPromptMapping(11, 4, 32).prompt_of_class.tolist()
    mappings = [start, *(line["prompt_of_class"] for line in lines)]
    moved = [sum(old != new for old, new in zip(*pair)) for pair in zip(mappings, mappings[1:])]
    assert [line["moved"] for line in lines] == moved
    assert all(line["classes"] == list(runner.train_dataloader.dataset.metainfo["classes"]) for line in lines)
    assert all(line["num_prompts"] == 4 for line in lines)
    rows = map(json.loads, (Path(runner.log_dir) / "vis_data" / "scalars.json").read_text().splitlines())
    scalars = [(row["step"], row["kmeans_seconds"]) for row in rows if "kmeans_seconds" in row]
    assert scalars == [(line["iter"], line["seconds"]) for line in lines]  # once each, no averages
    assert all(0 < line["seconds"] < 10 for line in lines)


@pytest.mark.parametrize(("interval", "expected"), [(2, 1 + 2), (None, 1 + 1), (0, 1)])
def test_iterations_cluster_every_interval(
    interval: Optional[int], expected: int, camvid: Path, tmp_path: Path, calls: list[str]
) -> None:
    cfg = by_iterations(clustered(camvid, tmp_path), 6)  # six images, two a batch: three iterations see them all
    cfg.custom_hooks[1].interval = interval
    train(cfg)
    assert calls.count("_cluster") == expected
    assert calls.count("_first_means") == 1
    every = 3 if interval is None else interval
    lines = [(line["iter"], line["epoch"]) for line in lines_of(tmp_path)]
    assert lines == [(every * count, None) for count in range(expected)]


def test_fine_tuning_makes_a_mapping_of_its_own(camvid: Path, tmp_path: Path, calls: list[str]) -> None:
    train(clustered(camvid, tmp_path / "first"))
    calls.clear()
    cfg = clustered(camvid, tmp_path / "second")
    cfg.load_from = str(tmp_path / "first" / "epoch_1.pth")
    train(cfg)
    assert calls == ["_first_means", "_cluster"]


def test_without_weights_nothing_is_clustered(camvid: Path, tmp_path: Path, calls: list[str]) -> None:
    weights = {f"model.backbone.guidance.{name}_weight": 0 for name in ("patch", "cls")}
    train(clustered(camvid, tmp_path, **weights, **{"train_cfg.max_epochs": 2}))
    assert calls == []


def test_enough_prompts_need_no_clustering(camvid: Path, tmp_path: Path, calls: list[str]) -> None:
    runner = train(tiny_camvid(camvid, tmp_path))
    assert "_first_means" not in calls
    assert not (tmp_path / "mapping.jsonl").exists()
    assert not runner.model.backbone.guidance.mapping.clustered


def test_a_resumed_run_goes_on_with_the_mapping_it_had(camvid: Path, tmp_path: Path, calls: list[str]) -> None:
    options: dict[str, Any] = {
        "train_cfg.max_epochs": 3,
        "param_scheduler": [],
        "default_hooks.checkpoint.max_keep_ckpts": 3,
        # nothing random, for both runs to see the same
        "model.decode_head.dropout_ratio": 0,
        "model.auxiliary_head.dropout_ratio": 0,
        "train_dataloader.dataset.pipeline.4.prob": 0.0,
    }
    whole = train(clustered(camvid, tmp_path / "whole", **options)).model.backbone.guidance.mapping
    calls.clear()
    lines = without_time(lines_of(tmp_path / "whole"))
    cfg = clustered(camvid, tmp_path / "whole", **options)
    cfg.update(load_from=str(tmp_path / "whole" / "epoch_1.pth"), resume=True)
    resumed = train(cfg).model.backbone.guidance.mapping
    assert without_time(lines_of(tmp_path / "whole")) == lines  # that of the first epoch stays, the next comes once
    assert len(lines) == 3
    assert calls == ["_cluster"]  # that of the second epoch: no first pass again
    for name, buffer in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], buffer, msg=name)


def test_a_static_mapping_is_made_before_training_only(camvid: Path, tmp_path: Path, calls: list[str]) -> None:
    runner = train(clustered(camvid, tmp_path, **{"model.backbone.guidance.mapping.kind": "static", **TWO_EPOCHS}))
    assert calls == ["_first_means", "_cluster"]
    mapping = runner.model.backbone.guidance.mapping
    assert mapping.clustered and mapping.class_counts.sum() == 0


def test_a_random_mapping_is_drawn_and_stays(camvid: Path, tmp_path: Path, calls: list[str]) -> None:
    runner = train(clustered(camvid, tmp_path, **{"model.backbone.guidance.mapping.kind": "random", **TWO_EPOCHS}))
    assert calls == []
    drawn = ClassPromptMapping(11, 4, 32, kind="random").prompt_of_class
    assert torch.equal(runner.model.backbone.guidance.mapping.prompt_of_class, drawn)
    assert "Classes to prompts, at random:" in next(Path(runner.log_dir).glob("*.log")).read_text()


def test_a_second_run_takes_the_class_means_of_the_first(camvid: Path, tmp_path: Path) -> None:
    observed, mappings = [], []
    for run in range(2):
        cfg = clustered(camvid, tmp_path / str(run), randomness=dict(seed=0))
        cfg.custom_hooks[1].cache_dir = str(tmp_path / "cache")
        runner = train(cfg)
        log = next(Path(runner.log_dir).glob("*.log")).read_text()
        observed.append("at most 3 batches" in log)
        mappings.append(runner.model.backbone.guidance.mapping.state_dict())
    assert observed == [True, False]
    assert len(list((tmp_path / "cache").iterdir())) == 1
    for name, buffer in mappings[0].items():
        assert torch.equal(mappings[1][name], buffer), name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(interval=-1), "interval must be an integer of at least 0 or None, got -1"),
        (dict(first_pass_batches=0), "first_pass_batches must be an integer of at least 1 or None, got 0"),
        (
            dict(first_pass_images_per_class=0),
            "first_pass_images_per_class must be an integer of at least 1 or None, got 0",
        ),
    ],
)
def test_bounds_that_leave_nothing_are_refused(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PromptMappingHook(**arguments)


def test_a_mapping_of_another_number_of_classes_is_refused(camvid: Path, tmp_path: Path) -> None:
    cfg = clustered(camvid, tmp_path, **{"model.backbone.guidance.num_classes": 7})
    with pytest.raises(ValueError, match="num_classes is 7, but the training set has 11 classes"):
        train(cfg)


def observations() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(200) % 9
    return torch.randn(200, 8, generator=generator) + 4 * torch.randn(9, 8, generator=generator)[labels], labels


def hook_with(mapping: ClassPromptMapping) -> tuple[PromptMappingHook, Any]:
    hook = PromptMappingHook()
    hook._mapping, hook._class_names = mapping, [str(c) for c in range(9)]
    runner = type("Runner", (), {"logger": MMLogger.get_instance("mapping_test")})
    return hook, runner


def image_counts() -> list[int]:
    """How many images, of ten patches each, hold each class, where those of the second process have doubled labels."""
    images = observations()[1].view(20, 10)
    images[1::2] *= 2  # some become void
    return [sum(c in image.tolist() for image in images) for c in range(9)]


def one_of_two(rank: int) -> dict[str, torch.Tensor]:
    """A process that saw every other token clusters together with the other."""
    tokens, labels = observations()
    mapping = ClassPromptMapping(9, 3, 8).eval()  # as in the first pass
    mapping.observe(tokens[rank::2], labels[rank::2])
    hook, runner = hook_with(mapping)
    hook._share_means()
    hook._cluster(runner, 0, 0)
    assert images_with(labels.view(20, 10)[rank::2] * (rank + 1), 9).tolist() == image_counts()
    return mapping.state_dict()


def test_two_processes_cluster_as_one_that_saw_all(tmp_path: Path) -> None:
    found = in_processes(one_of_two, tmp_path, number=2, start_method="forkserver")
    mapping = ClassPromptMapping(9, 3, 8)
    mapping.observe(*observations())
    hook, runner = hook_with(mapping)
    hook._cluster(runner, 0, 0)
    assert mapping.clustered
    for state in found:
        for name, buffer in state.items():
            torch.testing.assert_close(buffer, mapping.state_dict()[name], msg=name)
