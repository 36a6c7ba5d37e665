"""Importance measured on real models of mmseg and mmpretrain, and the images that it is measured on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, MODELS, init_default_scope
from torch import Tensor, nn
from torch.utils.data import DataLoader

from davpt_seg.core.prompts.importance import Importance, prompt_importance
from davpt_seg.errors import InputError
from davpt_seg.experiments.shares import read_importance
from davpt_seg.training.measure import images_to_measure, measure
from davpt_seg.training.trained_checkpoint import build_trained

from ..coco import tiny_detector, write_coco
from ..core.tiny import tiny_vit
from ..recognition import write_vtab
from ..scenes import write_camvid
from ..training import tiny_camvid

SIZES = dict(img_size=16, patch_size=8, embed_dim=32, num_heads=2, depth=2)


def segmentation(folder: Path) -> Config:
    """CamVid with an auxiliary head, its test images apart from its validation images; masks hold void, too."""
    test = write_camvid(folder / "test", val=1)
    options = {"test_dataloader.dataset.data_root": str(test), "val_dataloader.batch_size": 2}
    options["model.backbone.prompts.num_prompts"] = 3
    return tiny_camvid(write_camvid(folder / "camvid", val=3), folder / "work", "baselines/vpt_deep", **options)


def recognition(folder: Path) -> Config:
    data = dict(type="VTABDataset", data_root=str(write_vtab(folder, "mine", test=3)), dataset="mine", split="val200")
    data["pipeline"] = [dict(type="LoadImageFromFile"), dict(type="PackInputs")]
    loader = dict(batch_size=3, num_workers=0, dataset=data, sampler=dict(type="DefaultSampler", shuffle=False))
    vit = dict(type="PromptedViT", model_name="vit_tiny_patch16_224", out_type="cls_token", timm_kwargs=SIZES)
    adapters = [dict(type="key_value_prompts", num_prompts=2)]
    return Config(
        dict(
            default_scope="mmpretrain",
            model=dict(
                type="ImageClassifier",
                backbone=dict(vit, prompts=dict(num_prompts=3), adapters=adapters),
                head=dict(type="LinearClsHead", num_classes=4, in_channels=32, loss=dict(type="CrossEntropyLoss")),
            ),
            data_preprocessor=dict(num_classes=4, mean=[120.0] * 3, std=[60.0] * 3),  # beside the model, as may be
            train_dataloader=dict(loader, dataset=dict(data, split="train800")),
            val_dataloader=loader,
            test_dataloader=dict(loader, dataset=dict(data, split="test")),
        )
    )


def initialised(cfg: Config, folder: Path) -> tuple[Any, str]:
    """Build a model, with a head that says something, and save a checkpoint of it."""
    init_default_scope(cfg.get("default_scope", "mmseg"))
    torch.manual_seed(0)
    preprocessor = {"data_preprocessor": cfg.data_preprocessor} if "data_preprocessor" in cfg else {}
    model = MODELS.build({**cfg.model.to_dict(), **preprocessor}).eval()
    for module in model.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)) and module.weight.requires_grad:
            nn.init.normal_(module.weight, std=0.3)
    for values in model.backbone.prompts.values.values():
        nn.init.normal_(values.data)
    torch.save(dict(state_dict=model.state_dict()), folder / "trained.pth")
    return model, str(folder / "trained.pth")


def segmentation_loss(model: Any, batch: Any) -> Tensor:
    """Both heads' cross entropy, void pixels left out of the sum, and not of what it is divided by, as mmseg has it."""
    data = model.data_preprocessor(batch, False)
    truth = torch.stack([sample.gt_sem_seg.data[0] for sample in data["data_samples"]])
    assert (truth == 255).any()
    features = model.backbone(data["inputs"])
    total = torch.zeros(())
    for head, weight in ((model.decode_head, 1.0), (model.auxiliary_head, 1.0)):
        logits = F.interpolate(head(features), truth.shape[1:], mode="bilinear", align_corners=head.align_corners)
        total = total + weight * F.cross_entropy(logits, truth, ignore_index=255, reduction="sum") / truth.numel()
    return total


def recognition_loss(model: Any, batch: Any) -> Tensor:
    data = model.data_preprocessor(batch, False)
    truth = torch.cat([sample.gt_label for sample in data["data_samples"]])
    return F.cross_entropy(model.head.fc(model.backbone(data["inputs"])[0]), truth)


def batches(cfg: Config) -> Iterator[Any]:
    dataset = DATASETS.build(cfg.val_dataloader.dataset)
    size = cfg.val_dataloader.batch_size
    for start in range(0, len(dataset), size):
        yield pseudo_collate([dataset[i] for i in range(start, min(start + size, len(dataset)))])


def measured(cfg: Config, checkpoint: str, batches: DataLoader, folder: Path) -> tuple[Importance, dict[str, Any]]:
    """Measure a checkpoint, and read what was written of it."""
    file = folder / "importance.json"
    found, _ = measure(build_trained(cfg, checkpoint, "mine"), batches, 16, str(file), config="mine")
    written = read_importance(str(file))
    assert all(torch.equal(a, b) for a, b in zip(written, found))
    return found, json.loads(file.read_text())["about"]


@pytest.mark.parametrize(
    ("configured", "loss"),
    [(segmentation, segmentation_loss), (recognition, recognition_loss)],
    ids=["mmseg", "mmpretrain"],
)
def test_importance_is_the_gradient_of_masks_on_the_held_out_images(
    configured: Callable[[Path], Config], loss: Callable[[Any, Any], Tensor], tmp_path: Path
) -> None:
    cfg = configured(tmp_path)
    model, checkpoint = initialised(cfg, tmp_path)
    found, about = measured(cfg, checkpoint, images_to_measure(cfg, "val", None, "mine"), tmp_path)

    masks = torch.ones(3, 17, requires_grad=True)  # of each prompt, and of its 16 segments of two numbers
    prompts = model.backbone.prompts
    entering = prompts.entering

    def masked(block: int) -> tuple[Tensor, None]:
        values, initial = entering(block)
        assert initial is None
        return values * masks[:, :1] * masks[:, 1:].repeat_interleave(2, dim=1), None

    prompts.entering = masked
    gradients, losses = [], []
    for batch in batches(cfg):
        losses.append(loss(model, batch))
        gradients.append(torch.autograd.grad(losses[-1], masks)[0].abs())
    expected = torch.stack(gradients).mean(dim=0).double()
    assert len(gradients) == about["batches"] == 2
    assert expected.min() > 0
    torch.testing.assert_close(found.prompts, expected[:, 0], rtol=2e-3, atol=1e-6)
    torch.testing.assert_close(found.segments, expected[:, 1:], rtol=2e-3, atol=1e-6)
    assert about["loss"] == pytest.approx(float(torch.stack(losses).mean()), rel=1e-5)


def test_training_images_are_measured_without_augmentation(tmp_path: Path) -> None:
    cfg = segmentation(tmp_path)
    cfg.train_dataloader.dataset = dict(type="RandomSubset", num_images=4, dataset=cfg.train_dataloader.dataset)
    loader = images_to_measure(cfg, "train", None, "mine")
    steps = [step.type for step in cfg.val_dataloader.dataset.pipeline]
    assert [type(step).__name__ for step in loader.dataset.pipeline.transforms] == steps
    assert "RandomFlip" in str(cfg.train_dataloader) and "RandomFlip" not in steps
    assert all("train" in loader.dataset.get_data_info(i)["img_path"] for i in range(4))
    _, checkpoint = initialised(cfg, tmp_path)
    assert measured(cfg, checkpoint, loader, tmp_path)[1]["images"] == 4


def test_some_images_are_drawn_alike_each_time(tmp_path: Path) -> None:
    cfg = recognition(tmp_path)
    _, checkpoint = initialised(cfg, tmp_path)
    twice = [measured(cfg, checkpoint, images_to_measure(cfg, "val", 3, "mine"), tmp_path) for _ in range(2)]
    assert twice[0][1]["images"] == 3
    assert torch.equal(twice[0][0].segments, twice[1][0].segments)
    with pytest.raises(InputError, match="--images: RandomSubset num_images must be 1 to 4"):
        images_to_measure(cfg, "val", 9, "mine")


def test_test_images_are_never_measured_on(tmp_path: Path) -> None:
    cfg = recognition(tmp_path)
    cfg.test_dataloader = cfg.val_dataloader  # as split=choose has it: both are the validation split
    assert images_to_measure(cfg, "val", None, "mine").dataset.split == "val200"
    cfg.val_dataloader.dataset.split = cfg.test_dataloader.dataset.split = "test"
    with pytest.raises(InputError, match=r"mine validates on 3 images that it tests on.*split=choose.*--split train"):
        images_to_measure(cfg, "val", None, "mine")
    cfg = segmentation(tmp_path / "street")
    cfg.test_dataloader.dataset.data_root = cfg.val_dataloader.dataset.data_root
    with pytest.raises(InputError, match="validates on 3 images that it tests on"):
        images_to_measure(cfg, "val", None, "mine")
    cfg.val_dataloader = None
    with pytest.raises(InputError, match="no val_dataloader"):
        images_to_measure(cfg, "val", None, "mine")
    assert "images/train" in str(images_to_measure(cfg, "train", None, "mine").dataset.data_prefix)


def test_a_mask_on_a_whole_prompt_is_felt_by_the_norms_epsilon_alone() -> None:
    """The norm before attention undoes a factor, so that E2VPT's ranking of prompts is by what epsilon leaves of it."""
    torch.manual_seed(0)
    model = tiny_vit(prompts=dict(num_prompts=4))
    images = torch.rand(2, 3, 32, 32, dtype=torch.float64)

    def smallest_and_largest(epsilon: float) -> tuple[float, float]:
        for block in model.trunk.blocks:
            block.norm1.eps = epsilon
        found = prompt_importance(model.prompts, [images], lambda batch: model(batch).maps[0].square().sum())
        return float(found.segments.min()), float(found.prompts.max())

    segments, prompts = smallest_and_largest(0.0)
    assert prompts < 1e-6 * segments
    _, felt = smallest_and_largest(1e-2)
    assert felt > 1e3 * prompts


@pytest.mark.parametrize("split", ["val", "train"])
def test_a_detectors_boxes_and_masks_are_in_pixels_of_its_input(split: str, tmp_path: Path) -> None:
    """The test pipeline resizes images alone: losses of its boxes would be those of other places."""
    pytest.importorskip("mmdet")
    data = write_coco(tmp_path / "data")
    cfg = tiny_detector(data, tmp_path / "work", "vpt_deep", "mask_rcnn")
    for part in ("train", "val"):
        resize = next(step for step in cfg[f"{part}_dataloader"].dataset.pipeline if step.type == "Resize")
        resize.scale = (48, 48)  # of images whose longer side is 96 pixels
    cfg.test_dataloader = None
    ann_file = data / "annotations" / f"{'validation' if split == 'val' else 'training'}.json"
    truth: dict[str, list[list[float]]] = {}
    content = json.loads(ann_file.read_text())
    names = {image["id"]: image["file_name"] for image in content["images"]}
    for each in content["annotations"]:
        left, top, width, height = each["bbox"]
        truth.setdefault(names[each["image_id"]], []).append(
            [side / 2 for side in (left, top, left + width, top + height)]
        )
    seen = 0
    for batch in images_to_measure(cfg, split, None, "detector"):
        for image, sample in zip(batch["inputs"], batch["data_samples"]):
            seen += 1
            found = sample.gt_instances
            assert max(image.shape[1:]) == 48
            assert found.bboxes.tensor.tolist() == truth[Path(sample.img_path).name]
            areas = found.bboxes.areas
            assert (abs(found.masks.areas - areas.numpy()) < 0.25 * areas.numpy()).all()
    assert seen == len(names)
