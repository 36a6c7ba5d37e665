"""The metric losses on an unmodified EncoderDecoder."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement, PixelData
from mmseg.structures import SegDataSample
from safetensors.torch import load_file, save_file

from davpt_seg.core import PromptedViT
from davpt_seg.engine import MetricLossHook
from davpt_seg.models.prompted_vit import PromptedViTBackbone

from ..core.tiny import TINY
from ..training import by_iterations, logged, tiny_camvid, train


@pytest.mark.parametrize("loop", ["epochs", "iterations"])
def test_losses_are_logged_under_their_names_and_summed_with_those_of_both_heads(
    loop: str, camvid: Path, tmp_path: Path
) -> None:
    cfg = tiny_camvid(camvid, tmp_path)
    runner = train(cfg if loop == "epochs" else by_iterations(cfg, 3))
    rows = logged(runner)
    assert len(rows) == 3
    parts = ("decode.loss_ce", "aux.loss_ce", "loss_metric_patch", "loss_metric_cls")
    for row in rows:
        assert all(row[part] > 0 for part in parts)
        assert row["loss"] == pytest.approx(sum(row[part] for part in parts), rel=1e-4)


def test_guidance_changes_what_prompts_learn_and_only_prompts_and_heads_change(camvid: Path, tmp_path: Path) -> None:
    timm_kwargs = tiny_camvid(camvid, tmp_path).model.backbone.timm_kwargs
    weights = str(tmp_path / "trunk.safetensors")
    trunk = PromptedViT("vit_small_patch14_dinov2", timm_kwargs=timm_kwargs).trunk
    save_file(trunk.state_dict(), weights)
    learned = {}
    for method in ("davpt", "baselines/vpt_deep"):
        runner = train(tiny_camvid(camvid, tmp_path / method, method, **{"model.backbone.weights": weights}))
        backbone = runner.model.backbone
        for name, tensor in load_file(weights).items():  # MMEngine's init_weights must not have touched them either
            assert torch.equal(backbone.trunk.state_dict()[name], tensor), name
        learned[method] = torch.cat([p.detach().flatten() for p in backbone.prompts.parameters()])
    assert not torch.allclose(*learned.values(), atol=1e-5)


def test_statistics_are_logged_and_no_part_of_the_loss(camvid: Path, tmp_path: Path) -> None:
    cfg = tiny_camvid(camvid, tmp_path, **{"custom_hooks.0.log_stats": True, "custom_hooks.0.log_parts": True})
    rows = logged(train(cfg))
    for name in ("patch", "cls"):  # later rows hold the losses as running means
        parts = rows[0][f"metric_{name}_pull"] + rows[0][f"metric_{name}_push"]
        assert rows[0][f"loss_metric_{name}"] == pytest.approx(parts, rel=1e-4)
    for row in rows:
        assert row["loss"] == pytest.approx(sum(value for name, value in row.items() if "loss_" in name), rel=1e-4)
        assert -1 <= row["patch_cos_negative"] <= 1 and -1 <= row["patch_cos_positive"] <= 1
        assert 0 <= row["patch_nearest_right"] <= 1 and 0 < row["patch_labelled"] < 1


def test_a_hook_without_guidance_is_refused(camvid: Path, tmp_path: Path) -> None:
    cfg = tiny_camvid(camvid, tmp_path, "baselines/vpt_deep")
    cfg.custom_hooks = [dict(type="MetricLossHook")]
    with pytest.raises(ValueError, match=r"MetricLossHook needs one backbone .* found 0"):
        train(cfg)


def test_guidance_without_hook_is_warned_of(camvid: Path, tmp_path: Path) -> None:
    cfg = tiny_camvid(camvid, tmp_path)
    cfg.custom_hooks = []
    runner = train(cfg)
    assert "loss_metric_patch" not in logged(runner)[0]
    log = next(Path(runner.log_dir).glob("*.log")).read_text()
    assert log.count("Add dict(type='MetricLossHook') to custom_hooks") == 1


class Classifier(BaseModel):
    """The least that a model with a guided backbone can be."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = PromptedViTBackbone(
            "vit_tiny_patch16_224", timm_kwargs=TINY, prompts=dict(num_prompts=3), guidance=dict(num_classes=5)
        )

    def forward(self, inputs: torch.Tensor, data_samples: Any = None, mode: str = "tensor") -> dict[str, torch.Tensor]:
        return {"loss_task": self.backbone(inputs)[0].mean()}


def test_image_labels_guide_a_model_that_knows_no_label_maps() -> None:
    torch.manual_seed(0)
    model, inputs = Classifier().train(), torch.randn(2, 3, 32, 32)
    hook = MetricLossHook()
    hook.before_train(SimpleNamespace(model=model, hooks=[]))
    samples = [BaseDataElement(gt_label=torch.tensor([label])) for label in (3, 0)]
    maps = [SegDataSample(gt_sem_seg=PixelData(data=torch.full((1, 32, 32), label))) for label in (3, 0)]
    by_image, by_pixel = (model(inputs, data_samples=each, mode="loss") for each in (samples, maps))
    assert sorted(by_image) == ["loss_metric_cls", "loss_metric_patch", "loss_task"]
    assert all(torch.equal(by_image[name], by_pixel[name]) for name in by_image)
    with pytest.raises(ValueError, match="the batch has no data samples"):
        model(inputs, mode="loss")
    hook.after_train(SimpleNamespace(model=model, hooks=[]))
    assert list(model(inputs, mode="loss")) == ["loss_task"]


def test_bfloat16_training_keeps_parameters_and_metric_losses_in_float32(camvid: Path, tmp_path: Path) -> None:
    plain, mixed = (
        logged(train(tiny_camvid(camvid, tmp_path / kind, **{"optim_wrapper.type": kind})))[0]
        for kind in ("OptimWrapper", "AutocastOptimWrapper")
    )
    for part in ("decode.loss_ce", "loss_metric_patch", "loss_metric_cls"):
        assert plain[part] != mixed[part]
        assert plain[part] == pytest.approx(mixed[part], rel=0.05)


@pytest.mark.parametrize(
    ("with_hook", "mapping", "warned"), [(False, "dynamic", 1), (True, "dynamic", 0), (False, "random", 0)]
)
def test_shared_prompts_that_nobody_clusters_are_warned_of(
    with_hook: bool, mapping: str, warned: int, camvid: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options = {"model.backbone.prompts.num_prompts": 4, "model.backbone.guidance.mapping.kind": mapping}
    cfg = tiny_camvid(camvid, tmp_path, **options)
    cfg.custom_hooks = [dict(type="MetricLossHook"), *([dict(type="PromptMappingHook")] if with_hook else [])]
    train(cfg)
    assert caplog.text.count("no hook clusters them") == warned


def test_guidance_that_begins_later_counts_nothing_before_and_everything_after(camvid: Path, tmp_path: Path) -> None:
    rows = logged(train(by_iterations(tiny_camvid(camvid, tmp_path, **{"custom_hooks.0.begin": 0.5}), 4)))
    assert [row["loss_metric_patch"] > 0 for row in rows] == [False, False, True, True]
    assert [row["loss_metric_cls"] > 0 for row in rows] == [False, False, True, True]
