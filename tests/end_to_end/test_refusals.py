"""What is refused ends in one message and exit status 2, in real runs and not in a dry run alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest
import torch
from PIL import Image

from davpt_seg.commands.check_dataset import main_check_dataset
from davpt_seg.commands.count import main_count
from davpt_seg.commands.test import main_test
from davpt_seg.commands.train import main_train

from ..checkpoints import Trained
from ..scenes import write_camvid
from ..training import by_iterations, config_file, tiny_camvid

RANDOM = "model.backbone.weights=None"


def not_weights(path: Path) -> None:
    path.write_text("<html>Not found</html>")


def cut_off(path: Path) -> None:
    torch.save({"cls_token": torch.ones(1, 1, 32)}, path)
    path.write_bytes(path.read_bytes()[:300])


def not_finite(path: Path) -> None:
    torch.save({"cls_token": torch.full((1, 1, 32), torch.nan)}, path)


def refused(run: Callable[[], Any], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run()
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert words in said.rpartition("error: ")[2]


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("model.backbone.out_indices=[5]", "out_indices [5]"),
        ("model.backbone.prompts.num_prompts=[5,5,5]", "one per block"),
        ("model.backbone.prompts.num_prompts=-1", "num_prompts"),
        ("model.backbone.tuned=['blocks.0.atn.proj.bias']", "did you mean"),
    ],
)
def test_a_wrong_backbone_ends_training_test_and_count_with_its_message(
    option: str, words: str, trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    work = ["--work-dir", str(tmp_path), "--cfg-options", RANDOM, option]
    refused(lambda: main_train([trained.config, *work]), words, capsys)
    refused(lambda: main_test([trained.config, trained.checkpoint, *work]), words, capsys)
    refused(lambda: main_count([trained.config, "--cfg-options", RANDOM, option]), words, capsys)


@pytest.mark.parametrize(
    ("write", "words"), [(not_weights, "web page"), (cut_off, "broken or cut off"), (not_finite, "cls_token")]
)
def test_wrong_weights_end_a_training_with_their_message(
    write: Callable[[Path], None], words: str, trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "vit.pth"
    write(file)
    arguments = [trained.config, "--work-dir", str(tmp_path / "w"), "--cfg-options", f"model.backbone.weights={file}"]
    refused(lambda: main_train(arguments), words, capsys)


def test_files_that_cannot_be_used_end_training_and_test_with_their_message(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_camvid(tmp_path / "camvid")
    mask = root / "annotations" / "train" / "0003.png"
    Image.open(mask).resize((32, 24), Image.Resampling.NEAREST).save(mask)
    data = [f"{split}_dataloader.dataset.data_root={root}" for split in ("train", "val", "test")]
    options = ["--work-dir", str(tmp_path / "w"), "--cfg-options", RANDOM, *data]
    refused(lambda: main_train([trained.config, *options]), "0003.png", capsys)
    cut = root / "annotations" / "val" / "0000.png"
    cut.write_bytes(cut.read_bytes()[:-40])
    named = "val/0000.png: it is truncated (cut off): get it again"
    refused(lambda: main_test([trained.config, trained.checkpoint, *options]), named, capsys)
    image = root / "images" / "val" / "0000.jpg"
    image.write_bytes(image.read_bytes()[:200])
    named = "val/0000.jpg: it is truncated (cut off): get it again"
    refused(lambda: main_test([trained.config, trained.checkpoint, *options]), named, capsys)


def test_a_test_alone_is_refused_where_its_masks_or_classes_are_not_the_config_s(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [trained.config, trained.checkpoint, "--work-dir", str(tmp_path / "w"), "--cfg-options", RANDOM]

    def test(*options: str) -> None:
        main_test([*arguments, *(f"test_{option}" for option in options)])

    moved = "test: data set BaseSegDataset with data_root"
    refused(lambda: test("dataloader.dataset.reduce_zero_label=True"), moved, capsys)
    few = ["dataloader.dataset.metainfo.classes=[sky,road]", "dataloader.dataset.metainfo.palette=[[0,0,0],[9,9,9]]"]
    refused(lambda: test(*few, "dataloader.dataset.data_root=/nowhere"), "does not exist", capsys)
    for path in (root := write_camvid(tmp_path / "camvid")).glob("annotations/val/*.png"):
        Image.fromarray(np.array(Image.open(path)) % 2).save(path)
    refused(
        lambda: test(*few, f"dataloader.dataset.data_root={root}"),
        "the test data set has 2 classes, but model.decode_head.num_classes is 11",
        capsys,
    )
    refused(lambda: test("evaluator.iou_metrics=[mIuO]"), "test_evaluator: iou_metrics ['mIuO'] is not known", capsys)
    refused(lambda: test("evaluator.type=NoMetric"), "test_evaluator.type: 'NoMetric' is not registered", capsys)


def test_the_name_of_one_score_is_as_good_as_a_list(trained: Trained, tmp_path: Path) -> None:
    options = ["--work-dir", str(tmp_path / "w"), "--cfg-options", RANDOM, "test_evaluator.iou_metrics=mIoU"]
    main_test([trained.config, trained.checkpoint, *options])


def test_another_number_of_classes_in_validation_is_refused_before_a_step(
    camvid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cfg = by_iterations(tiny_camvid(camvid, tmp_path / "work"), 1)
    cfg.val_dataloader.dataset.metainfo = dict(classes=[f"c{i}" for i in range(12)], palette=[[0, 0, 0]] * 12)
    config = config_file(cfg, tmp_path / "config.py")
    refused(lambda: main_train([config]), "the validation data set has 12 classes, but model.decode_head.num_c", capsys)


def test_one_class_with_softmax_is_refused_by_the_check_too(
    camvid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = config_file(by_iterations(tiny_camvid(camvid, tmp_path), 1), tmp_path / "mine.py")
    refused(lambda: main_check_dataset([config, "--cfg-options", "model.decode_head.num_classes=1"]), "softmax", capsys)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = 1", "has no model, which must be a dict with a type"),
        ("model = dict(type='Nope')", "the model cannot be built (model): type 'Nope' is not registered"),
        ("model = 'x'", "mine.py: model must be a dict, got 'x'"),
    ],
)
def test_a_config_without_a_model_that_can_be_built_has_nothing_to_count(
    text: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.py").write_text(text + "\n")
    refused(lambda: main_count([str(tmp_path / "mine.py")]), words, capsys)
