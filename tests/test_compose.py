"""Experiments from their parts."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DATASETS, init_default_scope

from davpt_seg.audit.preflight import unwrapped
from davpt_seg.commands.test import main_test
from davpt_seg.commands.train import main_train
from davpt_seg.errors import InputError
from davpt_seg.experiments.compose import compose, compose_from_words
from davpt_seg.training.model import build_on_meta

from .test_configs import CELLS, TABLE_2, config_of


@pytest.mark.parametrize("name", CELLS)
def test_files_are_what_their_parts_compose(name: str) -> None:
    head, data = name.split("_vitl_")
    for method in TABLE_2:
        composed = compose(method, head, "vitl", data)
        assert composed.to_dict() == Config.fromfile(config_of(method, name)).to_dict(), method


def rates(cfg: Config) -> dict[str, float]:
    """The learning rate of each trained parameter, as MMEngine's own constructor gives it."""
    model = build_on_meta(cfg)
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = wrapper.optimizer.param_groups
    return {names[id(p)]: group["lr"] for group in groups for p in group["params"] if p.requires_grad}


def test_lora_learns_as_new_layers_do_though_it_changes_the_trunks_outputs() -> None:
    found = rates(compose("lora+bias", trunk="vits", schedule="mmseg_160k"))
    assert {rate for name, rate in found.items() if "lora_" in name} == {1e-2}
    assert {rate for name, rate in found.items() if "trunk" in name and "lora_" not in name} == {1e-3}


CAMVID = "head=linear,trunk=vits14_slide112,data=camvid_crop112,schedule=adamw_iters"


def test_a_rate_is_everybodys_and_the_heads_own_is_the_heads() -> None:
    found = rates(compose_from_words(f"method=vpt_deep,{CAMVID},lr=0.02"))
    assert set(found.values()) == {0.02}
    found = rates(compose_from_words(f"method=lora+vpt_deep,{CAMVID},lr=0.02,head_lr=0.01"))
    assert {name.partition(".")[0]: rate for name, rate in found.items()} == pytest.approx(
        dict(backbone=0.02, decode_head=0.01)
    )
    found = rates(compose_from_words("method=vpt_deep,trunk=vits,lr=0.02"))  # the schedule's multipliers stay
    assert {name.partition(".")[0]: rate for name, rate in found.items()} == pytest.approx(
        dict(backbone=0.02, neck=0.2, decode_head=0.2, auxiliary_head=0.2)
    )


def test_the_heads_rate_is_that_of_all_but_the_backbone() -> None:
    """Keys of MMEngine are pieces of names: ``head`` is one of the prompts' ``head_gates``, and of no part of DINO."""
    words = f"method=vpt_deep+zero_start,{CAMVID},lr=0.02,head_lr=0.01"
    cfg = compose_from_words(words)
    cfg.model.backbone.prompts.start = "gate"
    found = rates(cfg)
    assert any("head_gates" in name for name in found)
    assert all(rate == pytest.approx(0.02 if name.startswith("backbone") else 0.01) for name, rate in found.items())
    cfg = compose(head="linear", trunk="vits14", schedule="released_160k")
    cfg.model.backbone.update(prompts=dict(num_prompts=2, start="gate"))
    gates = {rate for name, rate in rates(cfg).items() if "head_gates" in name}
    assert gates == {cfg.optim_wrapper.optimizer.lr}


def test_a_number_of_prompts_that_no_block_would_have_is_refused() -> None:
    task = "method=davpt,trunk=vitb_augreg_in21k,data=vtab/resisc45"  # its row guides every block
    with pytest.raises(InputError, match=r"prompts=3: every block is guided here.*set guided_prompts"):
        compose_from_words(f"{task},prompts=3")
    for words in ("guided_prompts=3", "prompts=3,guided_prompts=3"):
        assert compose_from_words(f"{task},{words}").model.backbone.prompts.num_prompts == 3


def test_values_reach_what_they_name() -> None:
    for words, counts in (("prompts=3", [3] * 11 + [10]), ("guided_prompts=3", [20] * 11 + [3])):
        assert compose_from_words(f"method=davpt,{CAMVID},{words}").model.backbone.prompts.num_prompts == counts
    assert compose_from_words(f"method=vpt_deep,{CAMVID},prompts=3").model.backbone.prompts.num_prompts == 3
    cfg = compose_from_words(f"method=davpt+lora,{CAMVID},prompts=3,guided_prompts=5,rank=2,patch_weight=0,iters=50")
    backbone = cfg.model.backbone
    assert backbone.prompts.num_prompts == [3] * 11 + [5]
    assert (backbone.adapters[0].rank, backbone.guidance.patch_weight) == (2, 0)
    assert (cfg.train_cfg.max_iters, cfg.param_scheduler[1].end, cfg.param_scheduler[1].T_max) == (50, 50, 30)
    backbone = compose_from_words(f"method=e2vpt,{CAMVID},prompts=3,key_value_prompts=2").model.backbone
    assert (backbone.prompts.num_prompts, backbone.adapters[0].num_prompts) == (3, 2)
    backbone = compose_from_words(f"method=adapter+guidance,{CAMVID},width=7,guided_prompts=4").model.backbone
    assert (backbone.adapters[0].width, backbone.guidance.num_prompts) == (7, 4)
    backbone = compose_from_words(f"method=davpt+carried,{CAMVID},prompts=3,guided_prompts=5").model.backbone
    assert backbone.prompts.num_prompts == [3] * 8 + [5] + [3] * 3
    assert backbone.guidance.blocks == [backbone.prompts.carry] == [-4]


@pytest.mark.parametrize("method", ["vpt_deep", "davpt", "davpt_plus", "e2vpt", "vpt_deep+lora", "davpt_plus+adapter"])
def test_zero_start_changes_nothing_but_the_start(method: str) -> None:
    plain, zero = (
        compose_from_words(f"method={words},{CAMVID}").to_dict() for words in (method, f"{method}+zero_start")
    )
    assert zero["model"]["backbone"]["prompts"].pop("start") == "offset"
    assert zero == plain


def test_methods_join_in_any_order() -> None:
    for way in ("zero_start", "prototypes", "carried"):
        assert compose(f"{way}+davpt").model.to_dict() == compose(f"davpt+{way}").model.to_dict()
    one, other = compose("lora+davpt_plus"), compose("davpt_plus+lora")
    assert one.to_dict() == other.to_dict()
    assert compose("vpt_deep+guidance").to_dict() == compose("davpt").to_dict()
    assert compose("davpt+efficient_bias").to_dict() == compose("davpt_plus").to_dict()


def test_choosing_sees_no_validation_image_and_final_all_training_images(camvid: Path) -> None:
    def images(loader: Any) -> set[str]:
        init_default_scope("mmseg")
        return {item["img_path"] for item in DATASETS.build(loader.dataset)}

    sets = {}
    for split in ("choose", "final"):
        cfg = compose_from_words(f"method=linear,{CAMVID},split={split}")
        for stage in ("train", "test"):
            unwrapped(cfg[f"{stage}_dataloader"].dataset).update(data_root=str(camvid), pipeline=[])
            sets[split, stage] = images(cfg[f"{stage}_dataloader"])
        assert (cfg.val_dataloader is None) == (split == "final")
    assert not sets["choose", "train"] & sets["choose", "test"]
    assert sets["choose", "train"] | sets["choose", "test"] == sets["final", "train"]
    assert not sets["final", "train"] & sets["final", "test"]
    choosing = compose_from_words(f"method=linear,{CAMVID},split=choose")
    steps = [step.type for step in unwrapped(choosing.test_dataloader.dataset).pipeline]
    assert "RandomCrop" not in steps and "RandomFlip" not in steps
    assert choosing.val_dataloader.dataset == choosing.test_dataloader.dataset


def test_a_subset_is_drawn_from_what_is_trained_on_and_from_nothing_else(camvid: Path) -> None:
    def images(cfg: Config, stage: str) -> set[str]:
        unwrapped(cfg[f"{stage}_dataloader"].dataset).update(data_root=str(camvid), pipeline=[])
        init_default_scope("mmseg")
        return {item["img_path"] for item in DATASETS.build(cfg[f"{stage}_dataloader"].dataset)}

    drawn = set()
    for split, seed in itertools.product(("choose", "final"), range(4)):
        whole = compose_from_words(f"method=linear,{CAMVID},split={split}")
        some = compose_from_words(f"method=linear,{CAMVID},split={split},train_images=2,subset_seed={seed}")
        trained = images(some, "train")
        assert len(trained) == 2 and trained <= images(whole, "train")
        assert images(some, "test") == images(whole, "test")
        drawn.add(frozenset(trained))
    assert len(drawn) > 2


def test_words_choose_parts_and_leave_the_rest_as_it_is() -> None:
    cfg = compose_from_words("data=pascal_context_59,head=setr_pup")
    assert cfg.to_dict() == compose(method="davpt", head="setr_pup", trunk="vitl", data="pascal_context_59").to_dict()
    assert cfg.filename == "davpt/setr_pup_vitl_pascal_context_59.py"


def test_a_vit_of_twelve_blocks_takes_the_last_prompt_counts() -> None:
    backbone = compose("davpt", trunk="vitb").model.backbone
    assert backbone.prompts.num_prompts == [20] * 11 + [10]
    assert backbone.guidance.blocks == [-1]
    assert compose("vpt_shallow", trunk="vitb").model.backbone.prompts.num_prompts == 20


def test_patches_of_14_pixels_change_the_crop_everywhere() -> None:
    cfg = compose(trunk="vitl14_reg")
    steps = [*cfg.train_pipeline, *cfg.train_dataloader.dataset.pipeline]
    assert [step.crop_size for step in steps if step.type == "RandomCrop"] == [(504, 504)] * 2
    assert cfg.model.test_cfg.stride == (336, 336)


def test_schedules_train_trunk_parameters_at_one_rate_and_heads_at_one() -> None:
    rates = []
    for schedule in ("released_160k", "mmseg_160k"):
        cfg = compose("full", schedule=schedule)
        wrapper = cfg.optim_wrapper
        names = ("backbone.trunk.norm.bias", "decode_head.conv_seg.bias")
        multipliers = wrapper.paramwise_cfg.custom_keys
        factors = [next((m.lr_mult for key, m in multipliers.items() if key in name), 1.0) for name in names]
        rates.append([wrapper.optimizer.lr * factor for factor in factors])
        assert cfg.param_scheduler[0].end == cfg.train_cfg.max_iters == 160_000
    assert rates[0] == pytest.approx(rates[1])
    assert rates[0] == pytest.approx([1e-3, 1e-2])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("method=davptt", "no 'davptt' in .*methods; did you mean 'davpt'.* Known: adapter, adaptformer, bias"),
        ("data=ade", "no 'ade' in .*datasets; did you mean 'ade20k'.*pascal_context_59"),
        ("head=setr_pup,trunk=vitg", "no 'setr_pup_vitg' in .*models.*setr_pup_vitb.*upernet_vits"),
        ("schedule=80k", "no '80k' in .*schedules.*mmseg_160k, released_160k"),
        (
            "method=davpt,crop=512",
            "'crop' is no word of a segmentation experiment .data=ade20k.; known: method, head, trunk, data, schedule",
        ),
        ("method=", "'method=' is no WORD=VALUE"),
        ("method=carried", "carried changes prompts: join it to .* vpt_deep\\+carried"),
        ("method=guidance", "guidance needs a method that trains the ViT: join it to one, lora\\+guidance"),
        ("method=lora+lora", "names a method twice"),
        ("method=lora+lorra", "no 'lorra' in .*methods; did you mean 'lora'"),
        ("method=davpt+guidance", "davpt and guidance both set guidance"),
        ("method=vpt_deep+vpt_shallow", "vpt_deep and vpt_shallow both set prompts"),
        ("method=lora,widht=3", "'widht' is no word of a segmentation experiment.*did you mean 'width'"),
        ("method=lora,width=3", "method lora on ade20k with schedule released_160k has no width; .*nown: lr, .*rank"),
        ("method=linear,prompts=3", "method linear on ade20k with schedule released_160k has no prompts"),
        ("method=lora,rank=0", "rank=0: expected an integer of at least 1"),
        ("method=davpt,cls_weight=-1", "cls_weight=-1: expected a number of at least 0"),
        ("method=davpt,lr=0", "lr=0: expected a number above 0"),
        ("method=davpt,head_lr=1", "head_lr=1.0: add lr=..., the rate of the backbone"),
        ("method=davpt,schedule=adamw_400i,iters=20", "iters=20: the schedule has 20 iterations of warm-up"),
        ("method=davpt,schedule=adamw_15e,iters=20", "has no iters"),
        ("method=davpt,train_images=0", "train_images=0: expected an integer of at least 1"),
        ("method=davpt,subset_seed=1", "subset_seed=1: add train_images=N"),
        ("method=davpt,split=test", "split=test: expected one of choose, final"),
        ("method=davpt,method=full", "method is set twice, to 'davpt' and to 'full'"),
    ],
)
def test_unknown_parts_are_answered_with_the_known_ones(words: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        compose_from_words(words)


def test_the_command_line_takes_parts_and_prints_a_config_file(capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    words = "method=bias,head=setr_pup,trunk=vits,data=pascal_context"
    with pytest.raises(SystemExit) as stopped:
        main_train([words, "--print-config", "--cfg-options", "train_dataloader.batch_size=4"])
    assert stopped.value.code == 0
    file = tmp_path / "mine.py"
    file.write_text(capsys.readouterr().out)
    wanted = compose("bias", "setr_pup", "vits", "pascal_context")
    wanted.train_dataloader.batch_size = 4
    assert Config.fromfile(file).to_dict() == wanted.to_dict()


def test_the_command_line_ends_with_the_known_parts(capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    checkpoint = tmp_path / "iter_1.pth"
    checkpoint.touch()
    with pytest.raises(SystemExit):
        main_test(["method=loraa", str(checkpoint)])
    assert "there is no 'loraa'" in capsys.readouterr().err
