"""Data, heads and guidance have one number of classes, and one class is no softmax."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope

from davpt_seg.commands.train import main_train
from davpt_seg.errors import InputError
from davpt_seg.experiments.catalog import config_root
from davpt_seg.training.classes import check_classes

from . import by_iterations, config_file, tiny_camvid


def softmax(**head: Any) -> Config:
    """A model of one head."""
    return Config(dict(model=dict(decode_head=dict(dict(type="FCNHead", num_classes=1), **head))))


def test_every_config_of_ours_agrees_with_its_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("davpt_seg.training.classes.open_dataset", lambda config: None)
    for path in sorted(config_root().glob("[!_]*/*.py")):
        check_classes(Config.fromfile(path))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model.decode_head.num_classes", 12),
        ("model.auxiliary_head.num_classes", 150),
        ("model.backbone.guidance.num_classes", 10),
    ],
)
@pytest.mark.parametrize("dry", [True, False])
def test_another_number_of_classes_than_the_data_is_refused_before_a_step(
    key: str, value: int, dry: bool, camvid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cfg = by_iterations(tiny_camvid(camvid, tmp_path / "work", **{key: value}), 2)
    with pytest.raises(SystemExit) as ended:
        main_train([config_file(cfg, tmp_path / "config.py"), *(["--dry-run"] if dry else [])])
    message = capsys.readouterr().err
    assert ended.value.code == 2
    assert f"the training data set has 11 classes, but {key} is {value}" in message
    assert f"--cfg-options {key}=11" in message


def test_data_that_only_a_built_data_set_knows_are_compared_too(
    camvid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cfg = by_iterations(tiny_camvid(camvid, tmp_path / "work", **{"model.decode_head.num_classes": 12}), 2)
    part = cfg.train_dataloader.dataset
    cfg.train_dataloader.dataset = dict(type="ConcatDataset", datasets=[part, part])
    with pytest.raises(SystemExit):
        main_train([config_file(cfg, tmp_path / "config.py")])
    assert "the training data set has 11 classes, but model.decode_head.num_classes is 12" in capsys.readouterr().err


@pytest.mark.parametrize(
    "head",
    [
        dict(),
        dict(loss_decode=dict(type="CrossEntropyLoss")),
        dict(loss_decode=dict(type="CrossEntropyLoss", use_sigmoid=False)),
        dict(loss_decode=[dict(type="DiceLoss", use_sigmoid=False), dict(type="LovaszLoss", loss_type="multi_class")]),
    ],
)
@pytest.mark.parametrize("place", ["decode_head", "auxiliary_head", "head"])
def test_one_class_with_softmax_is_refused(head: dict[str, Any], place: str) -> None:
    cfg = Config(dict(model={place: dict(dict(type="FCNHead", num_classes=1), **head)}))
    with pytest.raises(InputError, match=rf"model\.{place}\.num_classes is 1 with a softmax.*=2 with the background"):
        check_classes(cfg)


@pytest.mark.parametrize(
    "head",
    [
        dict(loss_decode=dict(type="CrossEntropyLoss", use_sigmoid=True)),
        dict(loss_decode=[dict(type="CrossEntropyLoss"), dict(type="DiceLoss")]),
        dict(loss_decode=dict(type="LovaszLoss", loss_type="binary")),
        dict(type="MultiLabelLinearClsHead"),
        dict(loss=dict(type="LabelSmoothLoss", mode="multi_label")),
        dict(num_classes=2),
    ],
)
def test_one_class_with_sigmoid_is_not(head: dict[str, Any]) -> None:
    check_classes(softmax(**head))


def test_several_heads_are_named_by_their_place(camvid: Path, tmp_path: Path) -> None:
    init_default_scope("mmseg")
    cfg = tiny_camvid(camvid, tmp_path)
    cfg.model.auxiliary_head = [dict(cfg.model.decode_head), dict(cfg.model.decode_head, num_classes=3)]
    with pytest.raises(InputError, match=r"but model\.auxiliary_head\.1\.num_classes is 3\. Make them equal"):
        check_classes(cfg)


def test_a_head_of_edges_has_classes_of_its_own(camvid: Path, tmp_path: Path) -> None:
    cfg = tiny_camvid(camvid, tmp_path)
    cfg.model.auxiliary_head = dict(type="STDCHead", num_classes=2)
    check_classes(cfg)
