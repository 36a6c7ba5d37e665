"""Plans of detection: tasks, the metric in percent, words of the runs, and the data that are checked before."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from davpt_seg.benchmark.command import main_benchmark
from davpt_seg.benchmark.plan.plan import plan_of
from davpt_seg.benchmark.plan.reading import find_plan, read_plan
from davpt_seg.benchmark.plan.tasks import benchmark_of, dense_tasks, kind_of, score_of_task
from davpt_seg.benchmark.report.markdown import scores_named
from davpt_seg.experiments.compose import compose_from_words
from davpt_seg.experiments.detection import AP, is_detection
from davpt_seg.experiments.parts import read_part
from davpt_seg.experiments.words import DETECTION, SEGMENTATION
from davpt_seg.runs.results import collect
from davpt_seg.runs.training import Training

from ..tools.scripts import load_script

SCENES = Path(__file__).parents[2] / "tools" / "dataset_converters" / "demo_scenes.py"
PLAN = dict(
    tasks=["demo_boxes"],
    trunks=["vitti"],
    methods=["linear", {"zero_start": {"method": "vpt_deep+zero_start", "prompts": 2}}],
    seeds=[0, 1],
    common=dict(head="fcos_small", schedule="adamw_iters", iters=30),
    grid={"lr": [1e-3, 4e-3]},
)


@pytest.mark.parametrize("task", dense_tasks())
def test_a_plan_and_the_composer_agree_on_which_tasks_are_detection(task: str) -> None:
    assert kind_of(task) == benchmark_of(task) == (DETECTION if is_detection(read_part("data", task)) else SEGMENTATION)


def test_detection_is_scored_by_ap_in_percent(tmp_path: Path) -> None:
    metric = score_of_task("coco")
    assert (metric.key, metric.name, metric.to_percent) == (AP, "AP", 100)
    assert scores_named(["coco", "camvid_crop112", "vtab/dtd"]) == "AP and mIoU and accuracy"
    about = dict(config="words", seed=3, split="test", trained=9, trained_in_backbone=4)
    (tmp_path / "scores.json").write_text(json.dumps({AP: 0.125, "about": about}))
    training = Training("key", "words", (), 3, "final", metric.key, {}, keep=False, to_percent=metric.to_percent)
    result = collect(training, tmp_path, 1.0)
    assert result is not None and result["score"] == 12.5


def test_the_search_of_a_detection_plan_sees_no_test_image() -> None:
    study = plan_of(PLAN).studies[1]
    assert (study.head, study.seeds, len(list(study.space.points()))) == ("fcos_small", (0, 1), 2)
    search, final = (compose_from_words(run.words()) for run in (study.search_run({}), study.final_run({}, 0)))
    assert final.test_dataloader.dataset.ann_file == "annotations/validation.json"
    held_out, trained = search.test_dataloader.dataset, search.train_dataloader.dataset
    assert held_out.dataset.ann_file == trained.dataset.ann_file == "annotations/training.json"
    assert (held_out.part, trained.part) == ("val", "train")
    assert search.test_evaluator.ann_file is None  # annotations come with the held-out images
    assert plan_of({key: value for key, value in PLAN.items() if key != "seeds"}).studies[0].seeds == (0, 1, 2)


def test_the_plan_of_the_demos_scenes_lists_seven_methods_and_three_seeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("skimage")
    monkeypatch.setenv("DEMO_SCENES_ROOT", str(tmp_path / "scenes"))
    plan = tmp_path / "plan.yaml"  # on a trunk that needs no file of weights
    plan.write_text(
        yaml.safe_dump({**yaml.safe_load(find_plan("detection_demo_boxes").read_text()), "trunks": ["vitti"]})
    )
    arguments = [str(plan), "--work-dir", str(tmp_path / "w"), "--dry-run"]
    with pytest.raises(SystemExit, match="2"):
        main_benchmark(arguments)
    told = capsys.readouterr().err
    assert f"no data of demo_boxes ({tmp_path / 'scenes'}). Set DEMO_SCENES_ROOT to their folder" in told
    load_script(SCENES).main(["--out", str(tmp_path / "scenes"), "--train", "10", "--val", "5"])
    assert main_benchmark(arguments) == 0
    listed = capsys.readouterr().out.splitlines()
    assert listed[-1] == "21 runs: 21 to do; 21 left"
    runs = [line.split()[2] for line in listed if line.startswith("to do")]
    methods = ("linear", "vpt_deep", "zero_start", "davpt_zero_start", "davpt_zero_start_boxes", "lora", "lora_guided")
    assert runs == [f"demo_boxes/vitti/{method}/final/seed={seed}" for method in methods for seed in range(3)]
    assert not (tmp_path / "w").exists()


def test_the_plans_guidance_from_boxes_loads_boxes_only_and_that_from_masks_loads_both() -> None:
    loads = {}
    for study in plan_of(read_plan(find_plan("detection_demo_boxes"))).studies:
        run = study.final_run({}, 0)
        cfg = compose_from_words(run.words())
        options = (option.partition("=") for option in run.options())
        cfg.merge_from_dict({key: yaml.safe_load(value) for key, _, value in options})
        (step,) = [step for step in cfg.train_dataloader.dataset.pipeline if step.type == "LoadAnnotations"]
        loads[study.name] = step.with_mask
    assert loads["davpt_zero_start"] and loads["lora_guided"] and not loads["davpt_zero_start_boxes"]
