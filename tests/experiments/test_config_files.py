"""Config files with guidance's old arguments: of two files, the one that inherits takes precedence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from davpt_seg.errors import InputError
from davpt_seg.experiments.catalog import config_root
from davpt_seg.experiments.compose import config_of
from davpt_seg.experiments.config_files import read_file
from davpt_seg.experiments.options import put_options
from davpt_seg.experiments.parts import read_part

OURS = dict(num_classes=150, blocks=[-1], patch_weight=0.05, cls_weight=0.05, metric=dict(prompt_scale=5.0))


def written(path: Path, guidance: dict[str, Any], base: str = "") -> str:
    base_line = f"_base_ = {base!r}\n" if base else ""
    path.write_text(f"{base_line}model = dict(backbone=dict(guidance={guidance!r}))\n")
    return str(path)


def of_file(path: str) -> dict[str, Any]:
    return read_file(path).model.backbone.guidance.to_dict()


@pytest.mark.parametrize(
    ("own", "changed"),
    [
        (dict(prompt_scale=2.0), dict(metric=dict(prompt_scale=2.0))),
        (dict(metric="proxy_anchor"), dict(metric=dict(prompt_scale=5.0, kind="proxy_anchor"))),
        (dict(metric="triplet", prompt_scale=None), dict(metric=dict(prompt_scale=None, kind="triplet"))),
        (dict(mapping="static", seed=3), dict(mapping=dict(kind="static", seed=3))),
        (dict(labels="image", metric=dict(divisor="all")),
         dict(labelling=dict(labels="image"), metric=dict(prompt_scale=5.0, divisor="all"))),
    ],
    ids=str,
)  # fmt: skip
def test_old_arguments_go_over_those_of_a_config_of_ours(
    own: dict[str, Any], changed: dict[str, Any], tmp_path: Path
) -> None:
    ours = str(config_root() / "davpt" / "upernet_vitl_ade20k.py")
    assert of_file(written(tmp_path / "mine.py", own, ours)) == {**OURS, **changed}
    method = read_part("method", written(tmp_path / "method.py", own, "davpt.py"))
    expected = {name: value for name, value in {**OURS, **changed}.items() if name != "num_classes"}  # of the data
    assert method["model"]["backbone"]["guidance"] == expected
    cfg = config_of(ours)
    put_options(cfg, {"model.backbone.guidance": own})
    assert cfg.model.backbone.guidance.to_dict() == {**OURS, **changed}


def test_the_file_that_inherits_takes_precedence_whichever_has_the_old_names(tmp_path: Path) -> None:
    written(tmp_path / "old.py", dict(num_classes=3, prompt_scale=2.0, margin=0.3, mapping="static", seed=1))
    middle = dict(metric=dict(prompt_scale=7.0), cls_weight=0.0)
    assert of_file(written(tmp_path / "new.py", middle, "old.py")) == dict(
        num_classes=3, cls_weight=0.0, metric=dict(prompt_scale=7.0, margin=0.3), mapping=dict(kind="static", seed=1)
    )
    assert of_file(written(tmp_path / "last.py", dict(prompt_scale=1.0, seed=2), "new.py")) == dict(
        num_classes=3, cls_weight=0.0, metric=dict(prompt_scale=1.0, margin=0.3), mapping=dict(kind="static", seed=2)
    )


def test_deleted_arguments_are_gone(tmp_path: Path) -> None:
    written(tmp_path / "old.py", dict(num_classes=3, metric="triplet", margin=0.3, seed=1))
    deleted = dict(_delete_=True, num_classes=4, purity=0.7)
    assert of_file(written(tmp_path / "all.py", deleted, "old.py")) == dict(num_classes=4, labelling=dict(purity=0.7))
    group = dict(metric=dict(_delete_=True, kind="proxy_nca"))
    assert of_file(written(tmp_path / "group.py", group, "old.py")) == dict(
        num_classes=3, metric=dict(kind="proxy_nca"), mapping=dict(seed=1)
    )


def test_a_file_that_sets_an_argument_by_both_names_is_told_what_to_write(tmp_path: Path) -> None:
    both = written(tmp_path / "both.py", dict(num_classes=3, prompt_scale=2.0, metric=dict(prompt_scale=7.0)))
    with pytest.raises(InputError, match=r"both\.py'.*Replace prompt_scale=2\.0 by metric=dict\(prompt_scale=2\.0\)"):
        config_of(both)
    cfg = Config(dict(model=dict(backbone=dict(guidance=dict(num_classes=3)))))
    names = ("model.backbone.guidance.prompt_scale", "model.backbone.guidance.metric.prompt_scale")
    with pytest.raises(InputError, match=r"is the old name of .*, which is set as well"):
        put_options(cfg, dict.fromkeys(names, 2.0))


def test_a_group_may_be_an_option(tmp_path: Path) -> None:
    cfg = config_of("davpt/upernet_vitl_ade20k")
    put_options(cfg, {"model.backbone.guidance.metric": dict(kind="triplet", prompt_scale=None)})
    assert cfg.model.backbone.guidance.metric.to_dict() == dict(kind="triplet", prompt_scale=None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"_base_ = {str(config_root() / 'baselines/lora/upernet_vitl_ade20k.py')!r}\n",
         "; 'davpt-seg train method=lora,head=upernet,trunk=vitl,data=ade20k --print-config' prints what"),
        ("x = undefined\n", "cannot be read: NameError: name 'undefined' is not defined"),
    ],
    ids=["a base that words replace", "a wrong file"],
)  # fmt: skip
def test_a_file_that_cannot_be_read_says_why(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(InputError) as error:
        config_of(tmp_path / "mine.py")
    assert message in str(error.value)
