"""Plans: what they may say, what they mean, and what is said about wrong ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from mmengine.config import Config

from davpt_seg.audit.preflight import unwrapped
from davpt_seg.benchmark.options import parser, plan_asked_for
from davpt_seg.benchmark.plan.fields import WORDS
from davpt_seg.benchmark.plan.plan import FULL_RATES, RATES, plan_of
from davpt_seg.benchmark.plan.reading import find_plan, read_plan
from davpt_seg.benchmark.plan.space import Range
from davpt_seg.benchmark.plan.study import Study
from davpt_seg.benchmark.plan.tasks import (
    data_folder,
    data_variable,
    dense_tasks,
    expand,
    missing_data,
    tasks_of,
)
from davpt_seg.benchmark.run.where import launch_of, slots
from davpt_seg.errors import InputError
from davpt_seg.experiments.catalog import config_root
from davpt_seg.experiments.compose import compose_from_words
from davpt_seg.experiments.options import put_options
from davpt_seg.experiments.words import PRUNING, TASKS, words_of

PLAN: dict[str, Any] = dict(tasks=["vtab/dtd"], trunks=["vitb_in21k"], methods=["linear"])


def studies(plan: dict[str, Any]) -> list[Study]:
    return plan_of(plan).studies


def typed(*arguments: str) -> list[Study]:
    return plan_asked_for(parser().parse_args([*arguments, "--work-dir", "w"]))[0].studies


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (dict(task=["vtab/dtd"]), "the plan has no 'task'; did you mean 'tasks'?"),
        (dict(tasks=[]), "the plan names no tasks"),
        (dict(tasks=["vtab/dtdd"]), "no task 'vtab/dtdd'.*did you mean 'vtab/dtd'?"),
        (dict(tasks=["imagenet/1k"]), "there is no task 'imagenet/1k'"),
        (dict(tasks=["camvid"]), "there is no task 'camvid'; did you mean 'camvid_"),
        (dict(seeds={"segmentatoin": 3}), "did you mean 'segmentation'?"),
        (dict(methods=["davtp"]), "there is no method 'davtp'; did you mean 'davpt'?"),
        (dict(methods=[{"x": {"method": "lora+guidence"}}]), "there is no method 'guidence'; did you mean 'guidance'?"),
        (dict(methods=["davpt", "davpt"]), "'davpt' appears twice"),
        (dict(methods=[{"a/b": {"method": "davpt"}}]), "a name becomes a folder"),
        (
            dict(methods=[{"x": {"method": "davpt", "promts": 4}}]),
            "method 'x' has no 'promts'; did you mean 'prompts'?",
        ),
        (dict(methods=[["davpt"]]), "an entry is a name, or"),
        (dict(common={"split": "final"}), "common: 'split' is set by the runner"),
        (dict(methods=[{"x": {"method": "davpt", "data": "vtab/svhn"}}]), "'data' is set by the runner"),
        (dict(common={"lr": 1e-3}, grid={"lr": [1e-3]}), "lr both fixed and searched"),
        (dict(grid={"lr": [1e-3, 1e-3]}), "values must be given, each once"),
        (dict(grid={"lr": []}), "values must be given, each once"),
        (dict(grid={"lr": {"low": 1e-4, "high": 1e-2}}), "a range has no grid"),
        (dict(grid={"lr": {"low": 1e-2, "high": 1e-4}}, sampler="tpe", trials=3), "low must be less than high"),
        (dict(grid={"lr": {"low": 1e-4}}, sampler="tpe", trials=3), "grid lr needs 'high'"),
        (dict(sampler="tpe"), "needs a number of trials"),
        (dict(trials=3), "trials is for sampler tpe"),
        (dict(sampler="random"), "sampler must be one of grid, tpe"),
        (dict(seeds=0), "seeds must be"),
        (dict(seeds=[0, "1"]), "seeds must be"),
        (dict(seeds={"vtap": 5}), "seeds has no 'vtap'; did you mean 'vtab'?"),
        (dict(cfg_options=["model.x"]), "'model.x' is no KEY=VALUE"),
        (dict(cfg_options="model.x=1"), "cfg_options must be a list"),
        (dict(methods="linear"), "methods must be a list"),
        (dict(tasks=5), "tasks must be a list of names"),
        (dict(grid=[1e-3]), "grid must be a mapping"),
        (dict(grid={"lr": {"low": "a", "high": 1}}, sampler="tpe", trials=3), "grid lr, low must be a number"),
        (dict(sampler="tpe", trials="many"), "trials must be an integer, got 'many'"),
        (dict(search_seed="x"), "search_seed must be an integer"),
        (dict(amp="no"), "amp must be true or false"),
        (dict(seeds=True), "seeds must be"),
        (dict(grid={"lr": ["1e-3,split=final"]}), "'1e-3,split=final' is no value of lr"),
        (dict(common={"lr": "1e-3,split=final"}), "'1e-3,split=final' is no value of lr"),
    ],
)
def test_a_wrong_plan_is_refused_with_what_was_meant(change: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        studies({**PLAN, **change})


@pytest.mark.parametrize(
    "key",
    [
        "val_dataloader.dataset.split",
        "val_dataloader",
        "test_dataloader.dataset.ann_file",
        "train_dataloader.dataset.split",
        "train_dataloader.dataset",
        "train_dataloader.dataset.dataset",
        "val_evaluator.type",
        "randomness.seed",
    ],
)
def test_no_option_of_a_plan_can_show_test_images_to_the_search(key: str) -> None:
    with pytest.raises(InputError, match="chooses images or seeds of a run"):
        studies({**PLAN, "cfg_options": [f"{key}=test"]})
    with pytest.raises(InputError, match="chooses images or seeds of a run" if "." in key else "grid has no"):
        studies({**PLAN, "grid": {key: ["test", "val200"]}})


def test_how_images_are_augmented_is_the_plans_to_set() -> None:
    option = "train_dataloader.dataset.pipeline.1.scale=112"
    assert studies({**PLAN, "cfg_options": [option]})[0].cfg_options == (option,)


@pytest.mark.parametrize(
    "words", ["", ",split=choose", ",split=final", ",train_images=4", ",split=choose,train_images=4"]
)
def test_options_of_a_data_set_reach_it_where_it_is_divided(words: str) -> None:
    cfg = compose_from_words(f"method=linear,head=linear,trunk=vits14,data=camvid_168x224,schedule=adamw_iters{words}")
    put_options(cfg, {"train_dataloader.dataset.pipeline.4.prob": 0.25, "train_dataloader.dataset.data_root": "here"})
    inner = unwrapped(cfg.train_dataloader.dataset)
    assert (inner.pipeline[4].prob, inner.data_root) == (0.25, "here")
    if "train_images" in words:
        put_options(cfg, {"train_dataloader.dataset.num_images": 3})
        assert cfg.train_dataloader.dataset.num_images == 3


def test_a_method_may_be_a_file_anywhere(tmp_path: Path) -> None:
    path = tmp_path / "few.py"
    path.write_text("model = dict(backbone=dict(prompts=dict(num_prompts=3)))\n")
    (study,) = studies({**PLAN, "methods": [{"few": {"method": f"{path}+guidance"}}]})
    run = study.search_run({"lr": 1})
    assert study.key == "vtab/dtd/vitb_in21k/few"
    assert compose_from_words(run.words()).model.backbone.prompts.num_prompts == [3] * 11 + [10]
    with pytest.raises(InputError, match=r"there is no file .*few2\.py"):
        studies({**PLAN, "methods": [{"few": {"method": str(tmp_path / "few2.py")}}]})


def test_groups_stand_for_their_tasks() -> None:
    assert [len(tasks_of(f"vtab/{group}")) for group in ("natural", "specialized", "structured")] == [7, 4, 8]
    assert len(expand(["vtab", "vtab/natural", "vtab/dtd"])) == 19
    assert len(expand(["fgvc"])) == 5
    assert tasks_of("vt") == ()


def test_every_task_has_a_data_part() -> None:
    folder = config_root() / "_base_" / "datasets"
    assert all((folder / f"{task}.py").is_file() for task in (*tasks_of("vtab"), *tasks_of("fgvc")))


def test_words_are_those_of_the_experiments_but_the_runners() -> None:
    of_experiments = {name for task in TASKS for name in words_of(task)}
    assert set(WORDS) == of_experiments - {"method", "trunk", "data", "split", "subset_seed", "importance"}
    for name in of_experiments - set(WORDS):
        with pytest.raises(InputError, match=f"'{name}' is set by the runner"):
            studies({**PLAN, "common": {name: 1}})


def test_a_variant_is_a_method_with_words_options_and_a_grid_of_its_own() -> None:
    variant = dict(method="davpt", prompts=4, epochs=20, grid={"lr": ["1e-2"]}, cfg_options=["a.b=2"])
    plan = dict(common={"epochs": 10}, cfg_options=["a.b=1"], grid={"lr": [1, 2]}, methods=["linear", {"few": variant}])
    linear, few = studies({**PLAN, **plan})
    assert (linear.words, linear.space.axes, linear.cfg_options) == ({"epochs": 10}, {"lr": (1, 2)}, ("a.b=1",))
    assert (few.words, few.space.axes) == ({"epochs": 20, "prompts": 4}, {"lr": (0.01,)})
    run = few.search_run({"lr": 0.01})
    assert run.words() == "method=davpt,trunk=vitb_in21k,data=vtab/dtd,split=choose,epochs=20,prompts=4,lr=0.01"
    assert run.options() == ["randomness.seed=100", "a.b=1", "a.b=2"]  # the later wins


def test_a_method_without_a_grid_gets_one_of_learning_rates() -> None:
    linear, full, fixed = studies({**PLAN, "methods": ["linear", "full", {"fixed": {"method": "bias", "lr": 0.1}}]})
    assert linear.space.axes == {"lr": RATES}
    assert full.space.axes == {"lr": FULL_RATES}
    assert fixed.space.points() == [{}]


def test_options_of_the_config_can_be_searched() -> None:
    (study,) = studies(
        {**PLAN, "grid": {"lr": [1, 2], "model.backbone.guidance.metric.kind": ["proxy_nca", "triplet"]}}
    )
    points = study.space.points()
    metrics = ("proxy_nca", "triplet")
    assert [tuple(point.values()) for point in points] == [(lr, metric) for lr in (1, 2) for metric in metrics]
    run = study.search_run(points[1])
    assert run.words().endswith("split=choose,lr=1")
    assert run.options()[-1] == "model.backbone.guidance.metric.kind=triplet"
    assert len({study.search_run(point).key for point in points}) == 4


def test_the_command_line_narrows_and_replaces_a_plan() -> None:
    plan = ("vtab", "--tasks", "vtab/natural", "--trunks", "vitb_mae", "--methods", "davpt", "full", "--seeds", "2")
    found = typed(*plan, "--grid", "lr=1e-3,1e-2", "--set", "epochs=3", "--no-amp")
    assert [study.task for study in found[::2]] == list(tasks_of("vtab/natural"))
    assert {(study.trunk, study.seeds, study.amp) for study in found} == {("vitb_mae", (0, 1), False)}
    assert {study.name for study in found} == {"davpt", "full"}
    assert all(study.space.axes == {"lr": (0.001, 0.01)} and study.words == {"epochs": 3} for study in found)


@pytest.mark.parametrize("as_mapping", [False, True])
def test_a_typed_grid_takes_the_place_of_what_a_method_fixes_or_searches(tmp_path: Path, as_mapping: bool) -> None:
    methods = {"linear": {"lr": 0.1, "grid": {"head_lr": [1, 2]}}, "few": {"method": "davpt", "prompts": 4}, "full": {}}
    content = dict(PLAN, methods=methods if as_mapping else [{name: own} for name, own in methods.items()])
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    linear, few, full = typed(str(tmp_path / "mine.yaml"), "--grid", "lr=1e-3,1e-2")
    assert {study.name: dict(study.space.axes) for study in (linear, few, full)} == {
        name: {"lr": (0.001, 0.01)} for name in methods
    }
    assert (linear.words, few.words, few.method) == ({}, {"prompts": 4}, "davpt")


def test_a_range_is_typed_with_a_colon() -> None:
    (study,) = typed(
        *("--tasks", "vtab/dtd", "--trunks", "vits14", "--methods", "bias", "--seeds", "3", "7"),
        *("--grid", "lr=1e-4:1e-2", "--sampler", "tpe", "--trials", "9"),
    )
    assert study.space.axes == {"lr": Range(low=1e-4, high=1e-2, log=True)}
    assert (study.space.count, study.seeds) == (9, (3, 7))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["vtba"], "plan 'vtba' does not exist; did you mean 'vtab'?"),
        (["vtab", "--methods", "davtp"], "the plan has no 'davtp'; did you mean 'davpt'?"),
        (["vtab", "--tasks", "fgvc/cub"], "the plan has no 'fgvc/cub'"),
        (["vtab", "--grid", "lr"], "--grid: 'lr' is no KEY=VALUE"),
        (["--methods", "linear"], "the plan names no tasks.*--tasks"),
    ],
)
def test_wrong_arguments_are_refused_with_what_was_meant(arguments: list[str], told: str) -> None:
    with pytest.raises(InputError, match=told):
        typed(*arguments)


def test_each_gpu_has_a_run_at_a_time() -> None:
    def asked(*arguments: str) -> Sequence[dict[str, str]]:
        args = parser().parse_args([*arguments])
        launch_of(args)
        return slots(args)

    assert asked("--gpus", "0,2") == [{"CUDA_VISIBLE_DEVICES": "0"}, {"CUDA_VISIBLE_DEVICES": "2"}]
    assert asked("--jobs", "3") == [{}, {}, {}]
    for wrong in (("--gpus", "0", "--jobs", "2"), ("--gpus", "0,"), ("--jobs", "0")):
        with pytest.raises(InputError):
            asked(*wrong)


def test_the_work_dir_is_named_after_the_plan(tmp_path: Path) -> None:
    assert plan_asked_for(parser().parse_args(["vtab"]))[1] == Path("work_dirs/benchmarks/vtab")
    with pytest.raises(InputError, match="name a --work-dir"):
        plan_asked_for(parser().parse_args(["--tasks", "vtab"]))
    (tmp_path / "mine.yaml").write_text("- no mapping")
    with pytest.raises(InputError, match="must be a mapping"):
        read_plan(find_plan(str(tmp_path / "mine.yaml")))


def test_the_plan_of_vtab_is_all_of_it() -> None:
    found = plan_of(read_plan(find_plan("vtab"))).studies
    assert len({study.key for study in found}) == len(found) == 19 * 4 * 7
    assert {study.seeds for study in found} == {(0, 1, 2, 3, 4)}


def test_an_experiment_with_every_word_has_a_name_that_file_systems_take() -> None:
    own = [
        word for word in WORDS if word not in ("head", "schedule", "iters", "train_images", *PRUNING)
    ]  # parts, segmentation's, and what no run has as words
    words = {word: 10 if word in ("epochs", "prompts") else 1 for word in own} | {"weight_decay": 0.0001234567}
    words["image_size"] = 224
    method = {"all": {"method": "e2vpt+guidance+lora+adapter"}}
    names = [
        Path(compose_from_words(study.final_run({}, 0).words()).filename).name
        for tail in (0.0123456789, 0.0123456788)
        for study in studies({**PLAN, "methods": [method], "common": {**words, "drop_path": tail}})
    ]
    assert len(set(names)) == 2
    assert max(map(len, names)) < 255


def test_missing_data_are_named_with_their_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VTAB_ROOT", str(tmp_path))
    (tmp_path / "dtd").mkdir()
    assert list(missing_data(["vtab/dtd"])) == []
    (told,) = missing_data(["vtab/dtd", "vtab/svhn", "fgvc/cub"])
    assert told.startswith(f"no data of vtab/svhn ({tmp_path}/svhn), fgvc/cub (") and "CUB_200_2011)" in told
    monkeypatch.setenv("CAMVID_ROOT", str(tmp_path))
    assert list(missing_data(["camvid_crop112"])) == []
    monkeypatch.setenv("ADE20K_ROOT", "/no/where")
    (told,) = missing_data(["ade20k", "camvid_crop112"])
    assert "ade20k (/no/where). Set ADE20K_ROOT to their folder, or" in told


@pytest.mark.parametrize("task", dense_tasks())
def test_folders_of_dense_tasks_are_those_of_the_configs(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = config_root() / "_base_" / "datasets" / f"{task}.py"
    default = Config.fromfile(cfg).data_root
    assert str(data_folder(task)) == default
    variable = data_variable(task)
    assert variable is not None
    monkeypatch.setenv(variable, "/else/where")
    assert str(data_folder(task)) == Config.fromfile(cfg).data_root == "/else/where"


def test_a_segmentation_study_is_named_and_worded_by_its_data_part() -> None:
    method = {"lora_guided": {"method": "lora+guidance", "rank": 4}}
    plan = dict(common={"head": "linear", "schedule": "adamw_400i", "iters": 200}, grid={"lr": [1e-3]})
    (study,) = studies({**plan, "tasks": ["camvid_crop112"], "trunks": ["vits14"], "methods": [method]})
    assert (study.key, study.head, study.seeds) == ("camvid_crop112/vits14/lora_guided", "linear", (0, 1, 2))
    assert study.final_run({"lr": 0.001}, 0).words() == (
        "method=lora+guidance,trunk=vits14,data=camvid_crop112,split=final,"
        "head=linear,schedule=adamw_400i,iters=200,rank=4,lr=0.001"
    )


def test_each_seed_draws_training_images_of_its_own() -> None:
    plan = dict(common={"head": "linear", "train_images": 40}, grid={"lr": [1e-3]}, methods=["lora"], trunks=["vits14"])
    (study,) = studies({**plan, "tasks": ["camvid_crop112"]})
    runs = (study.search_run({"lr": 1e-3}), study.final_run({"lr": 1e-3}, 0), study.final_run({"lr": 1e-3}, 3))
    for run, seed in zip(runs, (100, 0, 3)):
        cfg = compose_from_words(run.words())
        assert (cfg.train_dataloader.dataset.num_images, cfg.train_dataloader.dataset.seed) == (40, seed)
    (study,) = studies({**plan, "tasks": ["camvid_crop112"], "common": {}, "grid": {"train_images": [20, 40]}})
    assert "subset_seed=3" in study.final_run({"train_images": 40}, 3).words()


def test_what_a_method_searches_alone_is_fixed_for_the_others() -> None:
    plan = dict(common={"head_lr": 1e-2}, grid={"lr": [1, 2]}, methods=[{"linear": {"grid": {"head_lr": [3]}}}, "bias"])
    linear, bias = studies({**PLAN, **plan})
    assert (linear.words, linear.space.axes) == ({}, {"head_lr": (3,)})
    assert (bias.words, bias.space.axes) == ({"head_lr": 0.01}, {"lr": (1, 2)})
