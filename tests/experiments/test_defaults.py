"""Values of experiments that no row of the table is for, and where each value is from."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest

from davpt_seg.experiments.catalog import config_root
from davpt_seg.experiments.compose import compose_from_words, origins
from davpt_seg.experiments.hyperparameters import hyperparameters

OWN_DATA = "data=vtab/cifar10_1k"  # which has no row
ALL = (
    "lr=0.25,head_lr=0.5,weight_decay=0.125,head_weight_decay=0.0625,prompts=3,guided_prompts=4,patch_weight=0.2,"
    "cls_weight=0.3,prompt_scale=7,drop_path=0.4,batch_size=12,kmeans_from_epoch=6,samples_per_class=3,warmup_epochs=2"
)


@pytest.mark.parametrize("method", ["davpt", "davpt_plus", "davpt_release", "lora+guidance", "davpt+zero_start"])
@pytest.mark.parametrize("trunk", ["vitb_augreg_in21k", "vitb_in21k", "vitb_mae", "vitb_mocov3"])
def test_own_data_on_a_vit_b_need_no_row(method: str, trunk: str) -> None:
    cfg = compose_from_words(f"method={method},trunk={trunk},{OWN_DATA}")
    assert cfg.model.head.num_classes == cfg.model.backbone.guidance.num_classes == 10
    assert cfg.model.backbone.guidance.blocks == [-1]
    assert cfg.model.backbone.guidance.patch_weight > 0


def test_the_command_takes_precedence_over_every_default() -> None:
    cfg = compose_from_words(f"method=davpt_plus,trunk=vitb_mae,{OWN_DATA},{ALL}")
    backbone, optimizer = cfg.model.backbone, cfg.optim_wrapper.optimizer
    assert (optimizer.lr, optimizer.weight_decay, backbone.drop_path_rate) == (0.25, 0.125, 0.4)
    assert backbone.prompts.num_prompts == [3] * 11 + [4]
    assert (backbone.guidance.patch_weight, backbone.guidance.cls_weight) == (0.2, 0.3)
    assert backbone.guidance.metric.prompt_scale == 7
    assert (cfg.train_dataloader.batch_size, cfg.train_dataloader.sampler.classes_per_batch) == (12, 4)
    told = origins(f"method=davpt_plus,trunk=vitb_mae,{OWN_DATA},{ALL}").splitlines()[1:]
    by_word = {line.split()[0]: line for line in told}
    for word in ALL.split(","):
        name, _, value = word.partition("=")
        assert by_word[name].split()[1] == str(float(value) if "." in by_word[name].split()[1] else value)
        assert by_word[name].endswith("the command")


def test_defaults_are_the_commonest_values_of_the_trunks_rows() -> None:
    with open(config_root() / "_base_" / "hyperparameters.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if (row["method"], row["trunk"]) == ("davpt", "vitb_mocov3")]
    found = hyperparameters("davpt_plus", "vitb_mocov3", "of/mine")
    for name in ("lr", "weight_decay", "head_weight_decay", "prompts", "guided_prompts", "drop_path", "tuned"):
        ((commonest, _),) = Counter(row[name] for row in rows).most_common(1)
        assert str(found[name]) == commonest or found[name] == float(commonest)
        assert found.origins[name] == "default, the commonest of the rows of davpt on vitb_mocov3"


def test_each_value_has_its_origin(tmp_path: Path) -> None:
    def of(words: str) -> dict[str, str]:
        return {line.split()[0]: " ".join(line.split()[2:]) for line in origins(words).splitlines()[1:]}

    released = of("method=davpt,trunk=vitb_augreg_in21k,data=fgvc/cub,prompts=3")
    assert released["lr"] == "released, row of davpt, vitb_augreg_in21k, fgvc/cub"
    assert released["prompts"] == "the command"
    assert "tuned" not in released  # which davpt does not train
    assert of("method=davpt,trunk=vitb_augreg_in21k,data=vtab/svhn")["lr"].startswith("ours, row of davpt")
    guided = of("method=davpt,trunk=vitb_augreg_in21k,data=vtab/dtd")
    assert guided["patch_weight"] == "ours, 0 and 0 are released"
    joined = of("method=lora+guidance,data=vtab/cifar10_1k")
    assert joined["rank"] == "ours, row of lora, *, *" and joined["guided_blocks"] == "default, the last block"
    schedule = of("method=vpt_deep,data=vtab/dtd,schedule=vpt_100e,lr=0.5")
    assert (schedule["batch_size"], schedule["lr"]) == ("the schedule", "the command")
    short = of("method=davpt+zero_start,data=vtab/dtd,epochs=20")
    assert short["kmeans_from_epoch"].endswith("vtab/dtd: 10, stretched with the epochs")
    assert short["warmup_epochs"].endswith(": 10, stretched with the epochs") and "init_divide_by_8" not in short
    assert of("method=davpt+carried,data=fgvc/cub")["guided_blocks"] == "the block of the persistent prompts"
    assert "samples_per_class" not in of("method=davpt,data=vtab/dtd,schedule=vpt_100e,lr=0.5")
    assert of("method=lora,data=ade20k,rank=3") == {"rank": "the command"}
