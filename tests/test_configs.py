"""Every config file agrees with itself and builds the model it promises."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from mmengine.config import Config
from mmseg.registry import DATASETS, MODELS

from davpt_seg.commands.count import main_count
from davpt_seg.core.delta import frozen_names
from davpt_seg.experiments.compose import compose
from davpt_seg.training.model import build_on_meta, count_parameters

ROOT = Path(__file__).parents[1] / "configs"
CONFIGS = sorted(path for path in ROOT.rglob("*.py") if "_base_" not in path.parts)
TABLE_2 = ("linear", "full", "bias", "vpt_shallow", "vpt_deep", "davpt", "davpt_plus")  # methods that have files
METHODS = (*TABLE_2, "e2vpt", "gatevpt", "lora", "adapter", "adaptformer", "ssf")
COMBINATIONS = (
    "lora+guidance",
    "adapter+guidance",
    "vpt_deep+carried",
    "davpt+carried",
    "vpt_deep+zero_start",
    "davpt+zero_start",
)
CELLS = [
    f"{head}_vitl_{data}"
    for head in ("upernet", "setr_pup")
    for data in ("ade20k", "pascal_context", "pascal_context_59")
]
# Another data set changes only the number of classes, which needs no model to be checked.
BUILT = [path for path in CONFIGS if "pascal_context" not in path.stem]
# What a method may change; see configs/_base_/methods.
OF_THE_METHOD = ("prompts", "adapters", "guidance", "tuned", "frozen", "trunk_mode", "drop_path_rate")

ROTARY = ["dinov3_vits", "dinov3_vitb", "dinov3_vitl", "eva02_vitl", "pe_spatial_vitl"]

DETECTOR = ROOT / "demo" / "davpt_fcos_vits14_scenes.py"
SEGMENTORS = [path for path in CONFIGS if path != DETECTOR]
every_config = pytest.mark.parametrize("path", SEGMENTORS, ids=lambda path: str(path.relative_to(ROOT)))


def config_of(method: str, name: str) -> Path:
    """The file of an experiment."""
    if method == "davpt_plus":
        return ROOT / "davpt" / f"{name}_plus.py"
    return ROOT / ("davpt" if method == "davpt" else f"baselines/{method}") / f"{name}.py"


def method_of(path: Path) -> str:
    """The method that a file's place and name promise."""
    if path == DETECTOR:
        return "davpt+zero_start"
    method = path.parent.name.replace("demo", "davpt")
    return f"{method}_plus" if path.stem.endswith("_plus") else method


def heads_of(cfg: Config) -> list[Any]:
    auxiliary = cfg.model.get("auxiliary_head", [])
    return [cfg.model.decode_head, *(auxiliary if isinstance(auxiliary, list) else [auxiliary])]


def pipelines_of(cfg: Config) -> list[Any]:
    """Each split's data set and its pipeline; a wrapper's are those of the data set inside."""
    sets = [cfg[f"{split}_dataloader"].dataset for split in ("train", "val", "test")]
    sets = [dataset.get("dataset", dataset) for dataset in sets]
    return [(dataset, dataset.pipeline) for dataset in sets]


@cache
def trunk_facts(model_name: str) -> tuple[int, int, int]:
    """Width, depth and patch size, asked of timm."""
    with torch.device("meta"):
        trunk = timm.create_model(model_name)
    return trunk.embed_dim, len(trunk.blocks), trunk.patch_embed.patch_size[0]


def assert_consistent(cfg: Config) -> None:
    """Everything a config says twice, or that timm or mmseg know too, is said alike."""
    assert_classes_agree(cfg)
    assert_maps_fit_the_heads(cfg)
    assert_images_are_as_the_trunk_learned_them(cfg)
    assert_crops_agree(cfg)


def assert_classes_agree(cfg: Config) -> None:
    numbers = {head.num_classes for head in heads_of(cfg)}
    if "guidance" in cfg.model.backbone:
        numbers.add(cfg.model.backbone.guidance.num_classes)
    for dataset, pipeline in pipelines_of(cfg):
        numbers |= {step.num_classes for step in pipeline if step.type == "CheckLabels"}
        metainfo = dataset.get("metainfo") or DATASETS.get(dataset.type).METAINFO
        numbers.add(len(metainfo["classes"]))
    assert len(numbers) == 1


def assert_maps_fit_the_heads(cfg: Config) -> None:
    backbone = cfg.model.backbone
    embed_dim, depth, _ = trunk_facts(backbone.model_name)
    assert list(backbone.out_indices) == sorted(backbone.out_indices)
    assert backbone.out_indices[-1] == depth - 1  # the last prompts matter, and compose reads the depth off it
    widths = [embed_dim] * len(backbone.out_indices)
    if "neck" in cfg.model:
        assert cfg.model.neck.in_channels == widths
        widths = [cfg.model.neck.out_channels] * len(widths)
    for head in heads_of(cfg):
        several = isinstance(head.in_index, list)
        read = [widths[index] for index in (head.in_index if several else [head.in_index])]
        assert head.in_channels == (read if several else read[0])
    counts = backbone.get("prompts", {}).get("num_prompts")
    assert not isinstance(counts, list) or len(counts) == depth


def assert_images_are_as_the_trunk_learned_them(cfg: Config) -> None:
    pretraining = timm.get_pretrained_cfg(cfg.model.backbone.model_name)
    for preprocessor in (cfg.data_preprocessor, cfg.model.data_preprocessor):
        assert preprocessor.bgr_to_rgb
        assert [value / 255 for value in preprocessor.mean] == pytest.approx(pretraining.mean)
        assert [value / 255 for value in preprocessor.std] == pytest.approx(pretraining.std)


def assert_crops_agree(cfg: Config) -> None:
    _, _, patch = trunk_facts(cfg.model.backbone.model_name)
    sizes = {
        tuple(step.crop_size) for _, pipeline in pipelines_of(cfg) for step in pipeline if step.type == "RandomCrop"
    }
    sizes |= {tuple(cfg.model.data_preprocessor.size)} if "size" in cfg.model.data_preprocessor else set()
    test_cfg = cfg.model.test_cfg
    if test_cfg.mode == "slide":
        sizes.add(tuple(test_cfg.crop_size))
        assert all(stride <= size for stride, size in zip(test_cfg.stride, test_cfg.crop_size))
    assert len(sizes) <= 1
    assert all(side % patch == 0 for size in sizes for side in size)
    checkpoint = cfg.default_hooks.checkpoint
    assert (checkpoint.type, checkpoint.frozen) == ("AtomicCheckpointHook", False)


@every_config
def test_config_agrees_with_itself_with_timm_and_with_its_data_set(path: Path) -> None:
    assert_consistent(Config.fromfile(path))


def test_the_detectors_file_is_the_model_and_data_that_its_words_compose() -> None:
    """Both test under autocast, with boxes in float32: the same model had an AP of 43.3, and of 43.1 all in float32."""
    written = Config.fromfile(DETECTOR).to_dict()
    words = dict(method="davpt+zero_start", head="fcos_small", trunk="vits14", data="demo_boxes")
    composed = compose(**words, schedule="adamw_iters", iters=300, lr=2e-3, prompt_scale=1).to_dict()
    blocks, (last,) = composed["model"]["backbone"]["guidance"], written["model"]["backbone"]["guidance"]["blocks"]
    assert (blocks.pop("blocks"), blocks.pop("metric")) == ([-1], dict(prompt_scale=1))
    assert written["model"]["backbone"]["guidance"].pop("blocks") == [last] == [11]
    assert not composed["model"]["data_preprocessor"].pop("pad_mask")
    for part in ("model", "param_scheduler", "optim_wrapper", "custom_hooks", "val_cfg", "test_cfg"):
        assert written[part] == composed[part], part
    assert written["default_hooks"]["float_heads"] == composed["default_hooks"]["float_heads"]


@pytest.mark.parametrize("data", ["ade20k", "pascal_context_59"])
@pytest.mark.parametrize("trunk", ["vitb", "vits", "vitl14_reg"])
@pytest.mark.parametrize("head", ["upernet", "setr_pup"])
def test_compositions_without_a_file_agree_with_themselves_too(head: str, trunk: str, data: str) -> None:
    assert_consistent(compose("davpt", head, trunk, data))


@pytest.mark.parametrize("trunk", ROTARY)
@pytest.mark.parametrize("head", ["upernet", "setr_pup", "linear"])
def test_compositions_with_rotary_trunks_agree_with_themselves_too(head: str, trunk: str) -> None:
    assert_consistent(compose("davpt", head, trunk, "ade20k"))


@pytest.mark.parametrize("path", BUILT, ids=lambda path: str(path.relative_to(ROOT)))
def test_config_builds_and_trains_what_its_method_says(path: Path) -> None:
    assert_trains_what_its_method_says(Config.fromfile(path), method_of(path))


@pytest.mark.parametrize(
    "method", [*METHODS, *COMBINATIONS, "e2vpt+efficient_bias", "gatevpt+guidance", "vpt_deep+lora", "e2vpt+zero_start"]
)
@pytest.mark.parametrize("trunk", ["vitl", "vits", "vitl14_reg"])
def test_experiments_without_a_file_build_and_train_what_their_method_says(trunk: str, method: str) -> None:
    assert_trains_what_its_method_says(compose(method, "setr_pup", trunk), method)


@pytest.mark.parametrize(("head", "trunk"), zip(["upernet", "setr_pup", "linear", "setr_pup", "linear"], ROTARY))
def test_experiments_on_rotary_trunks_build_and_train_what_their_method_says(head: str, trunk: str) -> None:
    assert_trains_what_its_method_says(compose("davpt_plus", head, trunk), "davpt_plus")


def test_a_classifier_on_dinov3_builds_and_reads_its_class_token() -> None:
    cfg = compose("davpt_plus", trunk="dinov3_vitb", data="vtab/dtd", split="choose")
    model = build_on_meta(cfg)
    assert (model.backbone.out_type, model.backbone.embed_dim) == ("cls_token", 768)
    assert model.backbone.guidance.num_classes == model.head.num_classes == 47


def trained_by(part: str, cfg: Config, dim: int, depth: int, trunk: int) -> int:
    """How many numbers a method trains, from its closed formula; of prompts, as many as its config names."""
    counts = cfg.model.backbone.get("prompts", {}).get("num_prompts", 0)
    deep = sum(counts) if isinstance(counts, list) else depth * counts
    backbone = cfg.model.backbone
    no_norm = backbone.get("out_type", "featmap") == "featmap" and not backbone.get("norm_maps")  # the last one's
    formulas: dict[str, Callable[[], int]] = {
        "linear": lambda: 0,
        "full": lambda: trunk - 2 * dim * no_norm,
        # qkv 3, attention output 1, the two norms 2, the MLP 4 + 1; and the patch embedding
        "bias": lambda: dim * (11 * depth + 1 + ("norm.bias" in cfg.model.backbone.tuned)),
        "efficient_bias": lambda: dim * 2 * depth,
        "vpt_shallow": lambda: dim * counts,
        "vpt_deep": lambda: dim * deep,
        "davpt": lambda: dim * deep,
        "davpt_plus": lambda: dim * (deep + 2 * depth),
        "e2vpt": lambda: dim * (deep + 5 * depth),
        "gatevpt": lambda: dim * counts + 2 * depth - 1,
        "lora": lambda: 8 * 4 * dim * depth,
        "adapter": lambda: (2 * 64 * dim + 64 + dim) * depth,
        "adaptformer": lambda: (2 * 64 * dim + 64 + dim) * depth,
        "ssf": lambda: 22 * dim * depth + 4 * dim - 2 * dim * no_norm,
        "guidance": lambda: dim * cfg.model.backbone.guidance.get("num_prompts", 0),  # proxies, where there are any
        "carried": lambda: 0,
        "zero_start": lambda: 0,
    }
    return formulas[part]()


def assert_trains_what_its_method_says(cfg: Config, method: str) -> None:
    model = build_on_meta(cfg)
    trunk = sum(p.numel() for p in model.backbone.trunk.parameters())
    shape = (model.backbone.embed_dim, model.backbone.depth, trunk)
    counts = count_parameters(model)
    assert counts.backbone_trained == sum(trained_by(part, cfg, *shape) for part in method.split("+"))
    assert counts.heads_trained > 0
    guided = "davpt" in method or "guidance" in method
    assert (model.backbone.guidance is not None) == guided
    assert [hook.type for hook in cfg.get("custom_hooks", [])] == ["MetricLossHook", "PromptMappingHook"] * guided
    assert model.backbone.starts_at_zero == ("zero_start" in method)
    assert (model.backbone.carry == model.backbone.depth - 4) == ("carried" in method)


@pytest.mark.parametrize("method", METHODS[1:])
def test_maps_reach_every_trained_parameter(method: str) -> None:
    cfg = compose(method, "setr_pup", "vitb")
    tiny = dict(model_name="vit_tiny_patch16_224", timm_kwargs=dict(embed_dim=24, img_size=32), pretrained=False)
    backbone = MODELS.build(dict(cfg.model.backbone, **tiny)).train()
    sum(maps.square().mean() for maps in backbone(torch.rand(2, 3, 32, 32))).backward()
    assert [name for name, p in backbone.named_parameters() if p.requires_grad and p.grad is None] == []


@pytest.mark.parametrize(
    "name", sorted({path.stem.removesuffix("_plus") for path in CONFIGS if "demo" not in path.parts})
)
def test_methods_of_an_experiment_share_everything_but_the_method(name: str) -> None:
    configs = [Config.fromfile(file) for method in TABLE_2 if (file := config_of(method, name)).exists()]
    if name in CELLS:
        assert len(configs) == len(TABLE_2)
        head, data = name.split("_vitl_")
        configs += [compose(method, head, "vitl", data) for method in (*METHODS[len(TABLE_2) :], *COMBINATIONS)]
    rests = []
    for config in configs:
        cfg = config.to_dict()
        cfg.pop("custom_hooks", None)
        cfg.pop("find_unused_parameters", None)
        cfg["optim_wrapper"].get("paramwise_cfg", {}).get("custom_keys", {}).pop("backbone", None)  # its learning rate
        for key in OF_THE_METHOD:
            cfg["model"]["backbone"].pop(key, None)
        rests.append(cfg)
    assert all(rest == rests[0] for rest in rests)


def test_counts_in_the_docs_are_what_the_command_prints(capsys: pytest.CaptureFixture) -> None:
    lines = (ROOT.parent / "docs" / "configs.md").read_text().splitlines()
    rows = [line for line in lines if line.startswith("| method=")]
    main_count([row.split()[1] for row in rows])
    assert len(rows) == 16  # the methods of both commands
    assert capsys.readouterr().out.splitlines()[2:] == rows


def convolutions(channels: list[int]) -> int:
    """Parameters of 3 x 3 convolutions, each with a norm's scale and shift."""
    return sum(9 * first * second + 2 * second for first, second in zip(channels, channels[1:]))


def test_the_heads_of_linear_probing_with_setr_pup_are_the_papers_13_1_million() -> None:
    counts = count_parameters(build_on_meta(compose("linear", "setr_pup")))
    main = convolutions([1024, 256, 256, 256, 256])
    auxiliary = 3 * convolutions([1024, 256, 256])
    four_of_each = 4 * (2 * 1024 + 256 * 150 + 150)  # the norm of what a head reads, and its classifier
    assert counts.trained == counts.heads_trained == main + auxiliary + four_of_each
    assert round(counts.trained / 1e6, 1) == 13.1


@pytest.mark.parametrize(("method", "published"), [("vpt_deep", 13.6), ("davpt", 13.6), ("davpt_plus", 13.7)])
def test_prompts_and_setr_pup_are_as_many_parameters_as_the_paper_counts(method: str, published: float) -> None:
    assert round(count_parameters(build_on_meta(compose(method, "setr_pup"))).trained / 1e6, 1) == published


def test_full_fine_tuning_is_as_many_parameters_as_the_paper_counts_where_positions_are_those_of_512_pixels() -> None:
    cfg = compose("full", "setr_pup")
    own = count_parameters(build_on_meta(cfg)).trained
    cfg.model.backbone.timm_kwargs = dict(img_size=512)
    assert round(count_parameters(build_on_meta(cfg)).trained / 1e6, 1) == 317.3
    assert round(own / 1e6, 1) == 316.4  # timm's positions are those of 224 pixels, resampled in each forward pass


def test_a_vit_l_with_da_vpt_and_setr_pup_is_a_checkpoint_of_56_megabytes_and_its_optimizers_state() -> None:
    """Of 4 bytes a parameter; SGD keeps one number for each that is trained, its momentum."""
    model = build_on_meta(compose("davpt", "setr_pup"))
    backbone: Any = model.get_submodule("backbone")
    frozen = {f"backbone.{name}" for name in frozen_names(backbone)}
    sizes = {name: value.numel() * value.element_size() / 1e6 for name, value in model.state_dict().items()}
    counts = count_parameters(model)
    held = sum(size for name, size in sizes.items() if name not in frozen)
    assert 4 * counts.backbone_trained / 1e6 < 2
    assert held < 60
    assert held + 4 * counts.trained / 1e6 < 112
    assert sum(sizes[name] for name in frozen) > 1200
