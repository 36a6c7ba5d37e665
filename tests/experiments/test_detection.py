"""Detection by words: every head on every trunk, masks, lengths, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from mmengine.config import Config

from davpt_seg.audit.preflight import unwrapped
from davpt_seg.errors import InputError
from davpt_seg.experiments.compose import compose, compose_from_words
from davpt_seg.experiments.detectors import patch_of
from davpt_seg.experiments.parts import each_read_once
from davpt_seg.experiments.shares import check_prunable

from ..training import CONFIGS

pytest.importorskip("mmdet")
HEADS = sorted(path.stem for path in (CONFIGS / "_base_" / "detectors").glob("*.py"))
TRUNKS = sorted(path.stem.partition("_")[2] for path in (CONFIGS / "_base_" / "models").glob("upernet_*.py"))
SCALES = {"fcos": (2, 1, 0.5), "fcos_small": (1,), "faster_rcnn": (4, 2, 1, 0.5), "mask_rcnn": (4, 2, 1, 0.5)}
DETR = "dino"  # has no strides


@pytest.fixture(scope="module", autouse=True)
def parts_read_once() -> Iterator[None]:
    with each_read_once():
        yield


def strides(cfg: Config) -> list[float]:
    model = cfg.model
    generator = model.get("rpn_head", {}).get("anchor_generator") or model.bbox_head
    return list(generator.strides)


@pytest.mark.parametrize("head", [head for head in HEADS if head != DETR])
@pytest.mark.parametrize("trunk", TRUNKS)
def test_every_head_is_on_every_trunk_with_strides_of_its_patch(head: str, trunk: str) -> None:
    cfg = compose(method="linear", head=head, trunk=trunk, data="demo_boxes")
    patch = patch_of(cfg.model.backbone.model_name)
    found = strides(cfg)
    # the maps of the pyramid are the patches' map, enlarged or reduced; further ones have half the resolution
    first = [patch / scale for scale in SCALES[head]]
    assert found == first + [first[-1] * 2 ** (i + 1) for i in range(len(found) - len(first))]
    if "rpn_head" in cfg.model:
        assert list(cfg.model.roi_head.bbox_roi_extractor.featmap_strides) == first
    assert cfg.model.data_preprocessor.pad_size_divisor % patch == 0
    assert len(cfg.model.backbone.out_indices) == 1


@pytest.mark.parametrize("trunk", TRUNKS)
def test_each_query_of_dino_has_a_place_in_the_smallest_image(trunk: str) -> None:
    model = compose(method="linear", head=DETR, trunk=trunk, data="demo_boxes").model
    sides = [
        int(model.data_preprocessor.pad_size_divisor / patch_of(model.backbone.model_name) * s) for s in (2, 1, 0.5)
    ]
    sides += [-(-sides[-1] // 2) for _ in range(model.neck.num_extra)]
    assert sum(side**2 for side in sides) >= model.num_queries
    assert len(sides) == model.encoder.layer_cfg.self_attn_cfg.num_levels


def test_dino_clips_gradients_with_both_schedules_of_detection() -> None:
    for schedule in ("detection_12e", "adamw_iters"):
        optim_wrapper = compose("linear", DETR, "vits14", "demo_boxes", schedule).optim_wrapper
        assert optim_wrapper.clip_grad == dict(max_norm=0.1, norm_type=2)
        assert optim_wrapper.optimizer.type == "AdamW"


@pytest.mark.parametrize("words", ["head=fcos_small,data=demo_boxes", "head=mask_rcnn,data=coco"])
@pytest.mark.parametrize(("method", "reads"), [("vpt_deep", False), ("davpt", True)])
def test_masks_are_loaded_where_a_head_or_guidance_reads_them(words: str, method: str, reads: bool) -> None:
    cfg = compose_from_words(f"method={method},trunk=vits14,{words}")
    head = "mask_rcnn" in words
    for split in ("train", "val"):
        steps = unwrapped(cfg[f"{split}_dataloader"].dataset).pipeline
        loads = next(step for step in steps if step.type == "LoadAnnotations")
        assert loads.with_mask == (head or (reads and split == "train"))
        before = steps[[step.type for step in steps].index("LoadAnnotations") - 1].type
        assert (before == "BoxMasks") == (reads and split == "train" and not head)


@pytest.mark.parametrize("head", ["fcos_small", "mask_rcnn"])
def test_types_with_a_scope_are_the_same_types(head: str, tmp_path: Path) -> None:
    part = (CONFIGS / "_base_" / "datasets" / "demo_boxes.py").read_text()
    for name in ("PackDetInputs", "LoadAnnotations", "CocoDataset", "CocoMetric"):
        assert f'type="{name}"' in part
        part = part.replace(f'type="{name}"', f'type="mmdet.{name}"')
    part = part.replace('type="InfiniteSampler"', 'type="mmengine.InfiniteSampler"')
    (tmp_path / "scoped.py").write_text(part)
    words = f"method=davpt,head={head},trunk=vitti,schedule=adamw_iters,epochs=2,split=final,data="
    plain, scoped = (compose_from_words(words + data).to_dict() for data in ("demo_boxes", f"{tmp_path}/scoped.py"))
    assert scoped["default_scope"] == "mmdet" and "mmdet." in str(scoped)
    assert str(scoped).replace("mmdet.", "").replace("mmengine.", "") == str(plain)


def test_lengths_splits_and_subsets_are_those_of_the_words() -> None:
    few = "method=linear,head=fcos,trunk=vits14"
    assert compose_from_words(f"{few},data=coco,schedule=detection_12e,epochs=2").train_cfg.max_epochs == 2
    cfg = compose_from_words(f"{few},data=demo_boxes,schedule=adamw_iters,iters=30,train_images=8,subset_seed=3")
    assert cfg.train_cfg.max_iters == 30
    subset = cfg.train_dataloader.dataset
    assert (subset.type, subset.num_images, subset.seed) == ("RandomSubset", 8, 3)
    chosen = compose_from_words(f"{few},data=demo_boxes,schedule=adamw_iters,split=choose")
    assert chosen.val_dataloader.dataset.type == "TrainingPart" and chosen.val_evaluator.ann_file is None
    final = compose_from_words(f"{few},data=demo_boxes,schedule=adamw_iters,split=final")
    assert final.val_dataloader is None and final.test_evaluator.ann_file.endswith("validation.json")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("head=fcos_smal,data=demo_boxes", "fcos_small"),
        ("head=upernet,data=demo_boxes", "upernet"),
        ("head=fcos,data=camvid_168x224", "head=fcos is for detection: add data=coco"),
        ("head=fcos,trunk=vitz,data=demo_boxes", "vitz"),
        ("head=fcos,data=demo_boxes,samples_per_class=2", "samples_per_class"),
        ("head=fcos,data=demo_boxes,schedule=adamw_iters,iters=30,epochs=2", "both set the length"),
        ("head=fcos,data=demo_boxes,subset_seed=2", "add train_images=N"),
        ("head=fcos,data=demo_boxes,head_lr=0.1", "add lr="),
    ],
)
def test_words_that_do_not_apply_are_refused_with_the_reason(words: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        compose_from_words(f"method=linear,{words}")


def test_a_trunk_without_patch_size_in_its_name_is_refused() -> None:
    with pytest.raises(InputError, match="'vit_small' does not hold the ViT's patch size"):
        patch_of("vit_small")


def test_dino_whose_loss_needs_training_is_not_pruned() -> None:
    cfg = compose(method="vpt_deep", head=DETR, trunk="vits14", data="demo_boxes")
    with pytest.raises(InputError, match=r"mine.py: .* DINO with denoising .* take another head"):
        check_prunable(cfg, "mine.py")
