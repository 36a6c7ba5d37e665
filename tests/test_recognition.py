"""Recognition experiments from their parts, and the table of hyper-parameters that they read."""

from __future__ import annotations

import csv
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import timm
from mmengine.config import Config

from davpt_seg.benchmark.plan.tasks import tasks_of
from davpt_seg.commands.count import main_count
from davpt_seg.datasets import FGVC_SETS, VTAB_SETS
from davpt_seg.errors import InputError
from davpt_seg.experiments.catalog import config_root
from davpt_seg.experiments.compose import compose_from_words
from davpt_seg.experiments.hyperparameters import TUNED, hyperparameters
from davpt_seg.training.model import build_on_meta, count_parameters

from .core.guidance.test_release import RELEASE

BASE = Path(__file__).parents[1] / "configs" / "_base_"
RELEASED = Path(__file__).with_name("released_hyperparameters.csv")  # 61 configs, read by the release's parser
RELEASED_TRUNK = {"vitb_in21k": "vitb_augreg_in21k"}  # the release's ImageNet-21k weights, by our words
TASKS = [*(f"vtab/{name}" for name in VTAB_SETS), *(f"fgvc/{name}" for name in FGVC_SETS)]
TRUNKS = ("vitb_augreg_in21k", "vitb_mae", "vitb_mocov3")
METHODS = ("linear", "full", "bias", "vpt_shallow", "vpt_deep", "davpt", "davpt_plus", "davpt_release")
OFF_HUB = {"model.backbone.pretrained": False, "model.backbone.weights": None}


def experiment(**words: Any) -> Config:
    return compose_from_words(",".join(f"{key}={value}" for key, value in words.items()))


def table() -> list[dict[str, str]]:
    with open(BASE / "hyperparameters.csv", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("task", TASKS)
def test_every_task_is_composed_with_every_trunk_and_method(task: str) -> None:
    sets = {f"vtab/{name}": one for name, one in VTAB_SETS.items()}
    sets.update({f"fgvc/{name}": one for name, one in FGVC_SETS.items()})
    for trunk in (*TRUNKS, "vitb_in21k"):
        for method in METHODS if trunk in TRUNKS else ("davpt",):  # which has no rows of its own there
            cfg = experiment(data=task, trunk=trunk, method=method)
            assert cfg.model.head.num_classes == sets[task].num_classes
            assert cfg.train_dataloader.dataset.dataset == task.partition("/")[2]
            guidance = cfg.model.backbone.get("guidance")
            assert (guidance is not None) is method.startswith("davpt")
            if guidance:
                assert guidance.num_classes == sets[task].num_classes
                assert guidance.patch_weight or guidance.cls_weight or method == "davpt_release"


def typed(column: str, text: str) -> Any:
    """A value of the released file."""
    if text in ("True", "False"):
        return text == "True"
    return text if column in ("guided_blocks", "tuned", "prompt_norm") else float(text)


def test_the_table_equals_the_released_configs_field_by_field() -> None:
    with open(RELEASED, newline="") as file:
        released = list(csv.DictReader(file))
    assert len(released) == 61
    ours = {(row["trunk"], row["task"]): row for row in table() if row["method"] == "davpt"}
    for row in released:
        key = (RELEASED_TRUNK.get(row["trunk"], row["trunk"]), row["task"])
        columns = row.keys() - {"trunk", "task"}
        expected = {column: typed(column, row[column]) for column in columns}
        assert {column: typed(column, ours[key][column]) for column in columns} == expected, key
        assert ours[key]["source"] == "released"
    assert sum(row["source"] == "released" for row in table()) == len(released)


def test_values_of_ours_are_the_commonest_of_their_group() -> None:
    sizes = {"vtab/natural": 7, "vtab/specialized": 4, "vtab/structured": 8}
    groups = {task: group for group in sizes for task in tasks_of(group)}
    rows = [row for row in table() if row["method"] == "davpt" and row["task"] in groups]
    for row in (one for one in rows if one["source"] == "ours"):
        like = [o for o in rows if o["trunk"] == row["trunk"] and groups[o["task"]] == groups[row["task"]]]
        for column in row.keys() - {"task", "source", "note"}:
            values = [
                "0.01" if column in ("patch_weight", "cls_weight") and o["patch_weight"] == o["cls_weight"] == "0"
                else o[column] for o in like if o["source"] == "released"
            ]  # fmt: skip
            assert row[column] == Counter(values).most_common(1)[0][0], (row["trunk"], row["task"], column)


def test_every_released_value_is_in_the_experiment() -> None:
    for row in (one for one in table() if one["source"] == "released"):
        cfg = experiment(data=row["task"], trunk=row["trunk"], method="davpt_release")
        backbone, wrapper = cfg.model.backbone, cfg.optim_wrapper
        guidance, prompts, sampler = backbone.guidance, backbone.prompts, cfg.train_dataloader.sampler
        counts = prompts.num_prompts if isinstance(prompts.num_prompts, list) else [prompts.num_prompts] * 12
        first, _, last = row["guided_blocks"].partition("-")
        blocks = list(range(int(first), int(last or first) + 1))
        silent = float(row["prompt_scale"]) == 0  # no gradient: the weights say so
        keys = wrapper.paramwise_cfg["custom_keys"]
        decays = [wrapper.optimizer.weight_decay * keys.get(key, {}).get("decay_mult", 1) for key in ("backbone",)]
        decays.append(wrapper.optimizer.weight_decay * keys["head.fc.weight"].get("decay_mult", 1))
        letters = [name for letter in row["tuned"] for name in TUNED[letter]]
        rise, fall = cfg.param_scheduler
        hooks = {hook.type: hook for hook in cfg.custom_hooks}
        found = {
            "lr": wrapper.optimizer.lr,
            "weight_decay": decays[0],
            "head_weight_decay": pytest.approx(decays[1]),
            "prompts": counts[0] if 0 not in blocks else None,
            "guided_prompts": {counts[block] for block in blocks},
            "guided_blocks": guidance.blocks,
            "weights": (guidance.patch_weight, guidance.cls_weight),
            "prompt_scale": guidance.metric.prompt_scale,
            "tuned": backbone.tuned,
            "drop_path": backbone.get("drop_path_rate", 0.0),
            "batch": (cfg.train_dataloader.batch_size, sampler.batch_size),
            "prompt_norm": prompts.norm,
            "init": (prompts.init, prompts.init_scale),
            "epochs": (rise.begin, rise.end, fall.begin, fall.end),
            "kmeans_from_epoch": hooks["PromptMappingHook"].from_epoch,
            "samples_per_class": sampler.batch_size / sampler.classes_per_batch,
        }
        assert found == {
            "lr": float(row["lr"]),
            "weight_decay": float(row["weight_decay"]),
            "head_weight_decay": float(row["head_weight_decay"]),
            "prompts": int(row["prompts"]) if 0 not in blocks else None,
            "guided_prompts": {int(row["guided_prompts"])},
            "guided_blocks": blocks,
            "weights": (0, 0) if silent else (float(row["patch_weight"]), float(row["cls_weight"])),
            "prompt_scale": 1 if silent else float(row["prompt_scale"]),
            "tuned": letters,
            "drop_path": float(row["drop_path"]),
            "batch": (int(row["batch_size"]), int(row["batch_size"])),
            "prompt_norm": row["prompt_norm"],
            "init": ("release", 0.125 if row["init_divide_by_8"] == "True" else 1.0),
            "epochs": (0, int(row["warmup_epochs"]), int(row["warmup_epochs"]), 100),
            "kmeans_from_epoch": int(row["kmeans_from_epoch"]),
            "samples_per_class": int(row["samples_per_class"]),
        }, (row["trunk"], row["task"])


def test_the_released_trunk_is_normalised_as_timm_does_and_vpts_stays() -> None:
    for trunk, tag in (("vitb_augreg_in21k", "augreg_in21k"), ("vitb_in21k", "orig_in21k")):
        cfg = experiment(data="vtab/dtd", trunk=trunk)
        name = cfg.model.backbone.model_name
        assert name == f"vit_base_patch16_224.{tag}"
        constants = timm.get_pretrained_cfg(name)
        assert cfg.model.data_preprocessor.mean == pytest.approx([255 * value for value in constants.mean])
        assert cfg.model.data_preprocessor.std == pytest.approx([255 * value for value in constants.std])


def test_the_release_is_guided_as_its_figures_are() -> None:
    backbone = experiment(data="fgvc/cub", method="davpt_release").model.backbone
    for group, own in RELEASE.items():
        assert {name: backbone.guidance[group][name] for name in own} == own
    assert backbone.guidance.metric.image_token == "class"
    paper = experiment(data="fgvc/cub", method="davpt_plus").model.backbone
    assert paper.tuned == backbone.tuned and paper.prompts == backbone.prompts
    assert not set(paper.guidance.metric) & {"token_side", "cls_side", "prompt_side", "cls_proxies", "divisor"}


def test_released_mae_classifiers_pool_the_last_blocks_prompts() -> None:
    cfg = experiment(data="fgvc/cars", method="davpt_release", trunk="vitb_mae")
    backbone = cfg.model.backbone
    assert (backbone.prompts.carry, backbone.pool_prompts, backbone.guidance.blocks) == (-1, True, list(range(4, 12)))
    cfg.merge_from_dict(OFF_HUB)
    assert build_on_meta(cfg).backbone.carry == 11
    assert "pool_prompts" not in experiment(data="fgvc/cars", trunk="vitb_mae").model.backbone


def test_the_papers_form_is_guided_where_the_release_is_not() -> None:
    for method, weight in (("davpt", 0.01), ("davpt_plus", 0.01), ("lora+guidance", 0.01), ("davpt_release", 0.0)):
        row = hyperparameters(method, "vitb_augreg_in21k", "vtab/dtd")
        assert (row["patch_weight"], row["cls_weight"]) == (weight, weight)
    rows = [hyperparameters(method, "vitb_mae", "fgvc/dogs") for method in ("davpt_plus", "davpt_release")]
    assert [(row["prompt_scale"], row["patch_weight"], row["cls_weight"]) for row in rows] == [
        (5, 0.01, 0.03),
        (1, 0, 0),
    ]
    own = experiment(data="vtab/dtd", method="davpt", patch_weight=0, cls_weight=0).model.backbone.guidance
    assert (own.patch_weight, own.cls_weight) == (0, 0)


def test_a_trunk_without_released_rows_takes_those_of_the_nearest() -> None:
    rows = [hyperparameters("davpt_plus", trunk, "fgvc/cub") for trunk in ("vitb_in21k", "vitb_augreg_in21k")]
    assert rows[0].values == rows[1].values
    assert hyperparameters("vpt_deep", "vitb_in21k", "fgvc/cub").origins["lr"] == "ours, row of vpt_deep, *, *"


def test_epochs_of_clustering_are_stretched_and_can_be_given() -> None:
    def start(**words: Any) -> int:
        return experiment(data="vtab/dtd", method="davpt", **words).custom_hooks[1].from_epoch

    assert [start(), start(epochs=20), start(epochs=4), start(epochs=20, kmeans_from_epoch=7)] == [10, 2, 1, 7]


def test_a_batch_of_another_size_keeps_the_images_of_a_class() -> None:
    def classes(**words: Any) -> int:
        return experiment(data="vtab/dtd", method="davpt", **words).train_dataloader.sampler.classes_per_batch

    assert [classes(), classes(batch_size=12), classes(samples_per_class=4), classes(batch_size=1)] == [16, 6, 8, 1]
    assert classes(trunk="vits14", batch_size=12) == 16  # PKSampler takes as many as fit


def test_the_table_has_a_row_for_each_task_and_trunk_of_the_paper() -> None:
    rows = [(row["trunk"], row["task"]) for row in table() if row["method"] == "davpt" and row["task"] != "*"]
    assert sorted(rows) == sorted((trunk, task) for trunk in TRUNKS for task in TASKS)


def test_values_that_were_not_released_are_marked_as_ours() -> None:
    missing = {("svhn", t) for t in TRUNKS} | {("sun397", t) for t in TRUNKS} | {("kitti", t) for t in TRUNKS}
    missing |= {("oxford_iiit_pet", "vitb_mae"), ("diabetic_retinopathy", "vitb_mae")}  # METHOD.md section 7
    rows = [row for row in table() if row["method"] == "davpt" and row["task"] != "*"]
    ours = {(row["task"].partition("/")[2], row["trunk"]) for row in rows if row["source"] == "ours"}
    assert ours == missing
    assert all(row["note"] for row in table() if row["source"] == "ours")


@pytest.mark.parametrize(
    ("trunk", "task", "expected"),
    [  # METHOD.md section 7, read by eye
        (
            "vitb_augreg_in21k",
            "fgvc/nabirds",
            dict(lr=1e-3, weight_decay=0.05, head_weight_decay=3, prompts=5, guided_prompts=10, blocks=[9, 10, 11])
            | dict(patch_weight=0.01, cls_weight=0.2, prompt_scale=60, tuned="KVPFnNC", drop_path=0, batch_size=32),
        ),
        ("vitb_augreg_in21k", "fgvc/dogs", dict(lr=2e-4, batch_size=64, patch_weight=0.01, cls_weight=0.01)),
        (
            "vitb_mae",
            "vtab/cifar",
            dict(lr=1e-3, weight_decay=5, head_weight_decay=0.5, prompts=0, guided_prompts=10)
            | dict(blocks=list(range(5, 12)), patch_weight=0.01, cls_weight=0.1),
        ),
        ("vitb_mocov3", "vtab/dtd", dict(lr=5e-3, drop_path=0.2, patch_weight=0.05, cls_weight=0.03, prompts=0)),
        ("vitb_mocov3", "vtab/clevr_count", dict(weight_decay=0.1, head_weight_decay=0)),
    ],
)
def test_rows_hold_the_released_values(trunk: str, task: str, expected: dict[str, Any]) -> None:
    row = hyperparameters("davpt_plus", trunk, task)
    assert {name: row.blocks if name == "blocks" else row[name] for name in expected} == expected


def test_letters_name_parameters_that_the_trunk_has() -> None:
    cfg = experiment(data="fgvc/cub", method="davpt_plus")
    assert hyperparameters("davpt_plus", "vitb_augreg_in21k", "fgvc/cub")["tuned"] == "".join(TUNED)
    cfg.merge_from_dict(OFF_HUB)
    build_on_meta(cfg)  # refuses names that no parameter has


def test_davpt_plus_trains_what_the_closed_formula_counts() -> None:
    cfg = experiment(data="fgvc/cub", method="davpt_plus")
    cfg.merge_from_dict(OFF_HUB)
    counts = count_parameters(build_on_meta(cfg))
    biases = 12 * 768 * (1 + 1 + 1 + 1 + 1 + 2) + 768  # K V P F n, N; C
    assert counts.backbone_trained == 12 * 10 * 768 + biases
    assert counts.heads_trained == 200 * 768 + 200


def trained_in_backbone(**words: Any) -> int:
    cfg = experiment(data="vtab/dtd", **words)
    cfg.merge_from_dict(OFF_HUB)
    return count_parameters(build_on_meta(cfg)).backbone_trained


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (dict(method="e2vpt", prompts=7, key_value_prompts=3), 12 * 768 * (7 + 3)),
        (dict(method="gatevpt", prompts=7), 768 * 7 + 2 * 12 - 1),
        (dict(method="lora", rank=3), 12 * 3 * 4 * 768),
        (dict(method="adapter", width=5), 12 * (2 * 5 * 768 + 5 + 768)),
        (dict(method="adaptformer", width=5), 12 * (2 * 5 * 768 + 5 + 768)),
        (dict(method="ssf"), 768 * (12 * 22 + 4)),
        (dict(method="lora+guidance", guided_prompts=6), 12 * 8 * 4 * 768 + 6 * 768),
        (dict(method="gatevpt+guidance", prompts=7, guided_prompts=6), 768 * 7 + 2 * 12 - 1 + 6 * 768),
        (dict(method="lora+vpt_deep", prompts=7, rank=1), 12 * 768 * (7 + 4)),
        (dict(method="davpt+carried", prompts=7, guided_prompts=6), 768 * (11 * 7 + 6)),
        (dict(method="vpt_deep+carried", prompts=7, trunk="vitb_mae"), 768 * 12 * 7),
        (dict(method="vpt_deep+zero_start", prompts=7), 768 * 12 * 7),
        (dict(method="e2vpt+zero_start", prompts=7, key_value_prompts=3), 12 * 768 * (7 + 3)),
        (dict(method="davpt+zero_start+lora", prompts=7, guided_prompts=7, rank=1), 12 * 768 * (7 + 4)),
        (dict(method="davpt_plus+adapter", width=5, prompts=10), 12 * 768 * (10 + 7) + 768 + 12 * (11 * 768 + 5)),
    ],
    ids=str,
)
def test_methods_and_their_combinations_train_what_their_formula_counts(words: dict[str, Any], expected: int) -> None:
    assert trained_in_backbone(**words) == expected


def test_of_joined_methods_the_first_sets_the_rate_and_guidance_is_the_tasks() -> None:
    lora, davpt = hyperparameters("lora", "vitb_mae", "fgvc/cars"), hyperparameters("davpt", "vitb_mae", "fgvc/cars")
    for method in ("lora+guidance", "guidance+lora"):
        row = hyperparameters(method, "vitb_mae", "fgvc/cars")
        assert [row[name] for name in ("lr", "weight_decay", "rank")] == [
            lora[name] for name in ("lr", "weight_decay", "rank")
        ]
        assert row["prompts"] is None
        assert (row.blocks, row["cls_weight"], row["guided_prompts"]) == (davpt.blocks, davpt["cls_weight"], 15)
    assert hyperparameters("davpt+lora", "vitb_mae", "fgvc/cars")["lr"] == davpt["lr"] != lora["lr"]


@pytest.mark.parametrize("method", ["davpt_release+prototypes", "prototypes+davpt_release"])
def test_prototypes_replace_the_initial_values_of_the_release(method: str) -> None:
    cfg = experiment(data="vtab/dtd", method=method)
    cfg.merge_from_dict(OFF_HUB)
    assert build_on_meta(cfg).backbone.prompts.awaits_prototypes
    assert "init_scale" not in cfg.model.backbone.prompts


@pytest.mark.parametrize("method", ["davpt+zero_start", "davpt_release+zero_start", "zero_start+davpt_release"])
def test_zero_start_prompts_keep_initial_values_that_a_step_hardly_turns(method: str) -> None:
    """The released ones, at most 0.0033, would be turned by half of their length in one step of AdamW at 1e-3."""
    for trunk in ("vitb_augreg_in21k", "vits14"):
        prompts = experiment(data="vtab/dtd", method=method, trunk=trunk).model.backbone.prompts
        assert prompts.start == "offset"
        assert not {"init", "init_scale"} & prompts.keys()


def test_carried_prompts_are_the_guided_ones() -> None:
    backbone = experiment(data="fgvc/cars", method="davpt+carried", trunk="vitb_mae").model.backbone
    assert backbone.guidance.blocks == [backbone.prompts.carry] == [-4]
    assert "num_prompts" not in backbone.guidance
    assert experiment(data="fgvc/cars", method="lora+guidance").model.backbone.guidance.num_prompts == 60


@pytest.mark.parametrize("task", ["vtab/sun397", "fgvc/nabirds"])
def test_tasks_of_more_than_255_classes_can_be_guided(task: str) -> None:
    cfg = experiment(data=task)
    cfg.merge_from_dict(OFF_HUB)
    assert build_on_meta(cfg).backbone.guidance.num_classes == cfg.model.head.num_classes > 255


def test_choosing_never_opens_the_test_split() -> None:
    for task, val in (("vtab/dtd", "val200"), ("fgvc/cub", "val")):
        cfg = experiment(data=task)
        assert cfg.train_dataloader.dataset.split in ("train800", "train")
        assert {cfg[f"{stage}_dataloader"].dataset.split for stage in ("val", "test")} == {val}
        assert not re.search(r"split='(test|train800val200|trainval)'", cfg.pretty_text)


def test_the_final_run_trains_on_all_labels_and_validates_nowhere() -> None:
    for task, train in (("vtab/dtd", "train800val200"), ("fgvc/cub", "trainval")):
        cfg = experiment(data=task, split="final")
        assert cfg.train_dataloader.dataset.split == train
        assert cfg.test_dataloader.dataset.split == "test"
        assert cfg.val_dataloader is cfg.val_cfg is cfg.val_evaluator is None


def test_the_head_decays_on_its_own() -> None:
    def decays(task: str, trunk: str = "vitb_augreg_in21k") -> tuple[float, float]:
        wrapper = experiment(data=task, trunk=trunk).optim_wrapper
        keys, base = wrapper.paramwise_cfg.custom_keys, wrapper.optimizer.weight_decay
        return tuple(base * keys.get(key, {}).get("decay_mult", 1) for key in ("backbone", "head.fc.weight"))

    assert decays("fgvc/cub") == pytest.approx((0.05, 5))
    assert decays("vtab/dmlab") == pytest.approx((0, 0.05))
    assert decays("vtab/clevr_count", "vitb_mocov3") == pytest.approx((0.1, 0))


def test_the_head_learns_at_its_own_rate_if_told() -> None:
    cfg = experiment(data="vtab/dtd", lr=1e-3, head_lr=1e-2)
    keys = cfg.optim_wrapper.paramwise_cfg["custom_keys"]
    assert cfg.optim_wrapper.optimizer.lr == 1e-3
    assert [keys[f"head.fc.{name}"]["lr_mult"] for name in ("weight", "bias")] == pytest.approx([10, 10])
    assert keys["head.fc.bias"]["decay_mult"] == 0


CROPS = """
train_dataloader = dict(dataset=dict(pipeline=[{steps}]))
"""


def test_an_image_size_reaches_random_crops_and_is_refused_where_nothing_has_one(tmp_path: Path) -> None:
    base = config_root() / "_base_" / "datasets" / "vtab" / "dtd.py"
    load, pack = 'dict(type="LoadImageFromFile"), ', 'dict(type="PackInputs")'
    path = tmp_path / "mine.py"
    crop = 'dict(type="RandomResizedCrop", scale=224), '
    path.write_text(f"_base_ = {str(base)!r}" + CROPS.format(steps=load + crop + pack))
    cfg = experiment(data=str(path), image_size=384)
    assert cfg.train_dataloader.dataset.pipeline[1].scale == 384
    path.write_text(f"_base_ = {str(base)!r}" + CROPS.format(steps=load + pack))
    with pytest.raises(InputError, match="image_size=384: no step of the train pipeline sets the images' size"):
        experiment(data=str(path), image_size=384)


def test_the_mean_token_is_classified_and_guided_for_mae() -> None:
    for trunk, out_type, token in (("vitb_mae", "avg_featmap", "mean"), ("vitb_mocov3", "cls_token", "class")):
        backbone = experiment(data="vtab/dtd", trunk=trunk).model.backbone
        assert (backbone.out_type, backbone.guidance.metric.image_token) == (out_type, token)


def test_lengths_stretch_the_schedule_and_the_images() -> None:
    cfg = experiment(data="fgvc/cub", epochs=20, image_size=112, batch_size=8)
    assert [(s.begin, s.end) for s in cfg.param_scheduler] == [(0, 2), (2, 20)]
    assert (cfg.param_scheduler[1].T_max, cfg.train_cfg.max_epochs, cfg.train_cfg.val_interval) == (18, 20, 2)
    assert [step.get("scale", step.get("crop_size")) for step in cfg.train_dataloader.dataset.pipeline[1:3]] == [
        128,
        112,
    ]
    assert cfg.train_dataloader.batch_size == cfg.train_dataloader.sampler.batch_size == 8
    assert len(experiment(data="fgvc/cub", epochs=5).param_scheduler) == 1


def test_vpts_own_recipe_has_its_batch_and_no_rate() -> None:
    cfg = experiment(data="vtab/dtd", method="vpt_deep", schedule="vpt_100e", lr=0.5)
    assert (cfg.optim_wrapper.optimizer.type, cfg.optim_wrapper.optimizer.lr) == ("SGD", 0.5)
    assert (cfg.train_dataloader.batch_size, cfg.train_dataloader.sampler.type) == (128, "DefaultSampler")
    with pytest.raises(InputError, match="sets no learning rate: add lr="):
        experiment(data="vtab/dtd", method="vpt_deep", schedule="vpt_100e")


def test_a_drop_path_of_zero_takes_back_the_methods_own() -> None:
    rates = [experiment(data="vtab/dtd", method="full", **words).model.backbone for words in ({}, dict(drop_path=0))]
    assert [(one.drop_path_rate, one.trunk_mode) for one in rates] == [(0.1, "train"), (0.0, "train")]


def test_other_experiments_have_other_work_dirs() -> None:
    names = [
        experiment(data="vtab/dtd", **words).filename
        for words in ({}, dict(lr=1), dict(split="final"), dict(trunk="vitb_mae"), dict(method="linear"))
    ]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("data=vtab/dtdd", "no 'vtab/dtdd' in .*datasets; did you mean 'vtab/dtd'"),
        ("data=vtab/base", "no 'vtab/base' in"),
        ("data=vtab/dtd,trunk=vitl", "no 'classifier_vitl' in .*classifier_vitb_mae"),
        ("data=vtab/dtd,split=test", "split=test: expected one of choose, final"),
        (
            "data=vtab/dtd,schedule=released_160k",
            "released_160k: classification .* has schedule=davpt_100e or vpt_100e",
        ),
        (
            "data=vtab/dtd,schedule=adamw_15e",
            "adamw_15e: classification .* has schedule=davpt_100e or vpt_100e",
        ),
        ("data=vtab/dtd,head=upernet,trunk=vitb", "head=upernet: classification .data=vtab/dtd. has head=classifier"),
        (
            "head=classifier,trunk=vitb_in21k,data=ade20k",
            "head=classifier is for image classification .data of vtab/ ",
        ),
        ("data=ade20k,schedule=davpt_100e", "schedule=davpt_100e is for image classification .data of vtab/ or fgvc/"),
        (
            "data=vtab/dtd,method=linear,prompts=5",
            "linear on vtab/dtd with schedule davpt_100e has no prompts; .*nown: lr, head_lr",
        ),
        ("data=vtab/dtd,method=guidance", "guidance needs a method that trains the ViT"),
        ("method=davpt_release,data=ade20k", "davpt_release is for image classification .*Use davpt or davpt_plus"),
        ("method=davpt_release+lora", "davpt_release is for image classification"),
        (
            "method=davpt_release+zero_start,trunk=vitb_mae,data=vtab/dtd",
            "last block's prompts too.*davpt_plus.zero_start",
        ),
        ("data=vtab/dtd,samples_per_class=0", "samples_per_class=0: expected an integer of at least 1"),
        ("data=vtab/dtd,samples_per_class=33", "samples_per_class=33: a batch has 32 images"),
        ("data=vtab/dtd,kmeans_from_epoch=0", "kmeans_from_epoch=0: expected an integer of at least 1"),
        ("data=vtab/dtd,method=lora,rank=0", "rank=0: expected an integer of at least 1"),
        ("data=vtab/dtd,method=lora+guidance,prompts=5", "has no prompts; known: lr, .*prompt_scale"),
        ("data=vtab/dtd,lr=fast", "lr=fast: expected a number above 0"),
        ("data=vtab/dtd,lr=inf", "lr=inf: expected a number above 0"),
        ("data=vtab/dtd,lr=0,head_lr=0.1", "lr=0: expected a number above 0"),
        ("data=vtab/dtd,batch_size=0", "batch_size=0: expected an integer of at least 1"),
        ("data=vtab/dtd,drop_path=1.5", "drop_path=1.5: expected a number of at least 0 and below 1"),
        ("data=vtab/dtd,prompts=2.5", "prompts=2.5: expected an integer of at least 0"),
        ("data=vtab/dtd,epochs=0", "epochs=0: expected an integer of at least 1"),
        ("data=vtab/dtd,epochs=5,warmup_epochs=5", "warmup_epochs=5 must be less than epochs=5"),
        ("data=vtab/dtd,trunk=vits14,image_size=100", "image_size=100 is no multiple of .* 14, .* take 98 or 112"),
        (
            "data=ade20k,warmup_epochs=1",
            "'warmup_epochs' is no word of a segmentation .*; it is a word of classification",
        ),
    ],
)
def test_wrong_words_are_answered_with_what_was_expected(words: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        compose_from_words(words)


def test_counting_parameters_needs_no_data(capsys: pytest.CaptureFixture) -> None:
    main_count(["method=vpt_deep,data=vtab/dtd,prompts=10", "--cfg-options", "model.backbone.pretrained=False"])
    assert f"{12 * 10 * 768 / 1e6:.3f}M | {47 * 769 / 1e6:.3f}M" in capsys.readouterr().out
