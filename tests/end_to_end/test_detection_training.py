"""Trainings of detectors: resumed exactly, in mixed precision, in two processes, and what the terminal shows."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing
from mmengine.config import Config
from mmengine.runner import Runner
from mmengine.structures import InstanceData

from davpt_seg.commands.train import main_train
from davpt_seg.compat import prepare_cpu_ddp

from ..coco import CLASSES, tiny_detector, write_coco
from ..training import config_file, logged, train
from .test_exactness import Losses
from .test_resume import differences

pytest.importorskip("mmdet")

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

HEADS = ("fcos_small", "faster_rcnn", "mask_rcnn", "dino")


@pytest.fixture(scope="module")
def coco(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_coco(tmp_path_factory.mktemp("coco"))


def by_epochs(cfg: Config) -> Config:
    """Two epochs of three batches, grouped by aspect ratio, with crops."""
    cfg.train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=2, val_interval=10)
    cfg.train_dataloader.sampler = dict(type="DefaultSampler", shuffle=True)
    cfg.train_dataloader.batch_sampler = dict(type="AspectRatioBatchSampler")
    pipeline = cfg.train_dataloader.dataset.pipeline
    pipeline.insert(-1, dict(type="RandomCrop", crop_size=(72, 72), allow_negative_crop=True))
    cfg.log_processor.by_epoch = True
    cfg.default_hooks.checkpoint.interval = 1
    return cfg


@pytest.mark.parametrize(
    ("head", "epochs", "cut"),
    [
        ("fcos_small", True, 4),
        ("faster_rcnn", False, 2),
        ("dino", False, 2),
        pytest.param("mask_rcnn", True, 2, marks=pytest.mark.slow),
    ],
)
def test_a_detector_that_resumes_ends_as_one_that_never_stopped(
    head: str, epochs: bool, cut: int, coco: Path, tmp_path: Path
) -> None:
    """Flips, crops, batches by aspect ratio, random samples of regions and DINO's noise are the same again."""

    def experiment(name: str) -> Config:
        cfg = tiny_detector(coco, tmp_path / name, head=head)
        return by_epochs(cfg) if epochs else cfg

    last = f"iter_{6 if epochs else 4}.pth"
    train(experiment("whole"))
    cfg = experiment("resumed")
    cfg.update(load_from=str(tmp_path / "whole" / f"iter_{cut}.pth"), resume=True)
    train(cfg)
    assert not (tmp_path / "resumed" / f"iter_{cut}.pth").exists()
    assert differences(*(torch.load(tmp_path / name / last) for name in ("whole", "resumed"))) == []


@pytest.mark.parametrize("head", HEADS)
def test_a_detector_trains_and_predicts_under_autocast_and_its_trunk_stays(
    head: str, coco: Path, tmp_path: Path
) -> None:
    cfg = tiny_detector(coco, tmp_path, head=head)
    cfg.optim_wrapper.type = "AutocastOptimWrapper"
    cfg.train_cfg.update(max_iters=2, val_interval=2)
    runner = Runner.from_cfg(cfg)
    model = runner.model
    frozen = {name: p.detach().clone() for name, p in model.backbone.named_parameters() if not p.requires_grad}
    prompts = {name: p.detach().clone() for name, p in model.backbone.named_parameters() if p.requires_grad}
    runner.train()
    after = dict(model.backbone.named_parameters())
    assert frozen and all(torch.equal(after[name], value) for name, value in frozen.items())
    assert prompts and not any(torch.equal(after[name], value) for name, value in prompts.items())
    rows = logged(runner)
    assert len(rows) == 2 and all(torch.isfinite(torch.tensor(row["loss"])) for row in rows)
    batch = next(iter(runner.val_dataloader))
    with torch.autocast("cpu", torch.bfloat16):
        found = model.test_step(batch)
    assert len(found) == len(batch["inputs"])
    for sample in found:
        predicted = sample.pred_instances
        assert predicted.bboxes.dtype == predicted.scores.dtype == torch.float32
        assert torch.isfinite(predicted.bboxes).all() and ((predicted.scores >= 0) & (predicted.scores <= 1)).all()
        assert ("masks" in predicted) == (head == "mask_rcnn")


def _run(cfg: Config) -> dict[str, Any]:
    runner = Runner.from_cfg(cfg)
    losses = Losses()
    runner.register_hook(losses)
    runner.train()
    model = getattr(runner.model, "module", runner.model)
    scores = {key: float(value.current()) for key, value in runner.message_hub.log_scalars.items() if "mAP" in key}
    return dict(losses=losses.rows, weights=model.state_dict(), scores=scores)


def _one_of_two(rank: int, run: Callable[[Config], Any], cfg: Config, folder: str) -> None:
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2")
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    cfg.launcher = "pytorch"
    prepare_cpu_ddp(cfg)
    torch.save(run(cfg), f"{folder}/{rank}.pth")
    dist.destroy_process_group()


def of_four(data: Path, work_dir: Path, processes: int) -> Config:
    """Return an experiment without crops: images of different sizes are padded to the same size on each process."""
    cfg = tiny_detector(data, work_dir)
    cfg.train_dataloader.batch_size = 4 // processes
    cfg.model.test_cfg.score_thr = 0.0  # so that there are boxes to compare
    for step in cfg.train_dataloader.dataset.pipeline:
        if step.type == "Resize":
            step.update(scale=(96, 96), keep_ratio=False)
    cfg.optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=1e-3))
    return cfg


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="forks; hide the GPU with CUDA_VISIBLE_DEVICES=''")
def test_two_processes_have_the_losses_and_weights_of_one_on_the_same_global_batch(coco: Path, tmp_path: Path) -> None:
    """FCOS normalises its losses by the mean number of positives over the processes, so that their mean is exact."""
    cfg = of_four(coco, tmp_path / "two", 2)
    torch.multiprocessing.start_processes(_one_of_two, (_run, cfg, str(tmp_path)), nprocs=2, start_method="fork")
    first, second = (torch.load(tmp_path / f"{rank}.pth") for rank in range(2))
    one = _run(of_four(coco, tmp_path / "one", 1))
    assert len(one["losses"]) == 4
    for expected, *pair in zip(one["losses"], first["losses"], second["losses"]):
        for name, value in expected.items():
            assert sum(each[name] for each in pair) / 2 == pytest.approx(value, rel=1e-4), name
    for name, tensor in one["weights"].items():
        assert torch.equal(first["weights"][name], second["weights"][name]), name
        torch.testing.assert_close(first["weights"][name], tensor, rtol=1e-4, atol=1e-5, msg=name)
    assert first["scores"] == second["scores"] == pytest.approx(one["scores"], abs=2e-3)
    assert first["scores"]


def _found(boxes: Any, labels: Any, image_id: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return boxes near those of an image, with one of another class, and their scores; the image decides them."""
    rng = np.random.default_rng(image_id)
    moved = np.array(boxes, np.float32) + rng.normal(0, 2, (len(boxes), 4)).astype(np.float32)
    named = np.array(labels)
    named[0] = (named[0] + image_id % 2) % len(CLASSES)
    return moved, named, rng.random(len(boxes)).astype(np.float32)


def _score(cfg: Config) -> dict[str, float]:
    """Score a model whose predictions are :func:`_found`, and return the number of images of this process, too."""
    runner = Runner.from_cfg(cfg)

    def predict(inputs: torch.Tensor, samples: list[Any], **_: Any) -> list[Any]:
        for sample in samples:
            objects = sample.instances
            found = _found([each["bbox"] for each in objects], [each["bbox_label"] for each in objects], sample.img_id)
            boxes, labels, scores = map(torch.from_numpy, found)
            sample.pred_instances = InstanceData(bboxes=boxes, labels=labels, scores=scores)
        return samples

    getattr(runner.model, "module", runner.model).predict = predict
    loop, images = runner.val_loop, 0
    for batch in loop.dataloader:
        images += len(batch["inputs"])
        loop.evaluator.process(data_samples=runner.model.val_step(batch), data_batch=batch)
    return {**loop.evaluator.evaluate(len(loop.dataloader.dataset)), "images": images}


@pytest.mark.skipif(torch.cuda.is_available(), reason="forks; hide the GPU with CUDA_VISIBLE_DEVICES=''")
def test_two_processes_have_the_ap_of_one_with_an_uneven_number_of_images(tmp_path: Path) -> None:
    """Both predict the last image's successor, the first one again, which must not count twice; pycocotools agrees."""
    data = write_coco(tmp_path / "data", train=2, val=5)

    def experiment(name: str) -> Config:
        cfg = tiny_detector(data, tmp_path / name, method="linear")
        cfg.val_dataloader.batch_size = 2
        return cfg

    arguments = (_score, experiment("two"), str(tmp_path))
    torch.multiprocessing.start_processes(_one_of_two, arguments, nprocs=2, start_method="fork")
    pair = [torch.load(tmp_path / f"{rank}.pth") for rank in range(2)]
    one = _score(experiment("one"))
    assert one.pop("images") == 5 and [scores.pop("images") for scores in pair] == [3, 3]
    assert pair[0] == pair[1] == one
    truth = COCO(str(data / "annotations/validation.json"))
    results = []
    for image_id in truth.getImgIds():
        objects = truth.imgToAnns[image_id]
        corners = [[x, y, x + w, y + h] for x, y, w, h in (each["bbox"] for each in objects)]
        for box, label, score in zip(*_found(corners, [each["category_id"] - 1 for each in objects], image_id)):
            left, top, right, bottom = map(float, box)
            result = dict(image_id=image_id, category_id=int(label) + 1, bbox=[left, top, right - left, bottom - top])
            results.append(dict(result, score=float(score)))
    compared = COCOeval(truth, truth.loadRes(results), "bbox")
    compared.evaluate(), compared.accumulate(), compared.summarize()
    assert 0.1 < one["coco/bbox_mAP"] < 0.9
    assert one["coco/bbox_mAP"] == pytest.approx(compared.stats[0], abs=6e-4)


def test_a_validation_in_which_nothing_is_found_has_scores_and_a_best_checkpoint(
    coco: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cfg = tiny_detector(coco, tmp_path / "work", method="linear", head="mask_rcnn")
    cfg.train_cfg.update(max_iters=1, val_interval=1)
    cfg.default_hooks.checkpoint.save_best = "coco/bbox_mAP"
    cfg.model.test_cfg.rcnn.score_thr = 1.1
    main_train([config_file(cfg, tmp_path / "config.py")])
    shown = capsys.readouterr().out
    assert "ERROR" not in shown and shown.count("No object was found in any image: average precision is 0.") == 2
    assert "Last validation: AP 0.0, AP50 0.0, AP75 0.0, mask AP 0.0" in shown
    assert "Best by AP: 0.0, best_coco_bbox_mAP_iter_1.pth." in shown


def test_the_terminal_of_a_detector_names_its_heads_and_has_a_line_for_each_validation(
    coco: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    cfg = tiny_detector(coco, tmp_path / "work", head="mask_rcnn")
    cfg.train_cfg.update(max_iters=2, val_interval=1)
    main_train([config_file(cfg, tmp_path / "config.py")])
    shown = capsys.readouterr().out
    parts = "RPNHead, StandardRoIHead, Shared2FCBBoxHead (10 classes), FCNMaskHead (10 classes)"
    assert f"MaskRCNN: PromptedViT, SimpleFeaturePyramid, {parts}" in shown
    begin = shown.index("Iter(train) [1/2]")
    lines = shown[begin:].splitlines()
    rest = [line for line in lines if not any(known in line for known in ("Iter(", "Saving checkpoint", "checkpoints"))]
    assert [line.partition(" - INFO - ")[2] or line.partition(":")[0].partition(".")[0] for line in rest] == [
        *("Done.", "Last validation", "Checkpoints and logs", "Next")
    ]
    assert sum("Iter(val)" in line and "mAP" in line for line in lines) == 2
    assert "Last validation: AP " in shown and ", mask AP " in shown
    log = max((tmp_path / "work").glob("*/*.log")).read_text()
    assert log.count(" Average Precision ") == 2 * 2 * 6
    assert "loading annotations into memory" not in shown and not [
        each for each in recwarn if "meshgrid" in str(each.message)
    ]
