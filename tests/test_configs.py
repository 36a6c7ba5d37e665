"""Every config file builds the model it promises."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from davpt_seg.apis.launch import forget_weights, replace_sync_bn

ROOT = Path(__file__).parents[1] / "configs"
CONFIGS = sorted(path for path in ROOT.rglob("*.py") if "_base_" not in path.parts)


def build(path: Path) -> tuple[Config, torch.nn.Module]:
    """Build a config's model without memory or weights: on the meta device."""
    cfg = Config.fromfile(path)
    init_default_scope(cfg.default_scope)
    forget_weights(cfg.model)
    replace_sync_bn(cfg.model)
    with torch.device("meta"):
        return cfg, MODELS.build(cfg.model)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: str(path.relative_to(ROOT)))
def test_config_builds_and_trains_what_its_method_says(path: Path) -> None:
    cfg, model = build(path)
    backbone = cfg.model.backbone
    dim, depth = model.backbone.embed_dim, model.backbone.depth
    prompts = backbone.get("prompts", {}).get("num_prompts", 0)
    expected = dim * (sum(prompts) if isinstance(prompts, list) else depth * prompts)
    if "tuned" in backbone:  # DA-VPT+: the biases of keys and values
        expected += 2 * dim * depth
    trained = sum(p.numel() for p in model.backbone.parameters() if p.requires_grad)
    assert trained == expected
    method = path.parent.name
    assert (trained > 0) == (method != "linear")
    assert ("guidance" in backbone) == ("custom_hooks" in cfg) == (method in ("davpt", "demo"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: str(path.relative_to(ROOT)))
def test_config_agrees_with_itself_on_the_number_of_classes(path: Path) -> None:
    cfg, model = build(path)
    heads = [model.decode_head] + ([model.auxiliary_head] if model.with_auxiliary_head else [])
    wanted = {head.num_classes for head in heads}
    if model.backbone.guidance is not None:
        wanted.add(model.backbone.guidance.num_classes)
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        wanted |= {step.num_classes for step in loader.dataset.pipeline if step.type == "CheckLabels"}
    assert len(wanted) == 1


def test_methods_of_an_experiment_share_everything_but_the_backbone() -> None:
    for name in ("upernet_vitl_ade20k", "upernet_vitl_pascal_context", "linear_vits14_camvid"):
        files = [ROOT / "davpt" / f"{name}.py", ROOT / "davpt" / f"{name}_plus.py"]
        files += [ROOT / "baselines" / method / f"{name}.py" for method in ("linear", "vpt_deep")]
        rests = []
        for file in files:
            cfg = Config.fromfile(file).to_dict()
            cfg.pop("custom_hooks", None)
            for key in ("prompts", "guidance", "tuned"):
                cfg["model"]["backbone"].pop(key, None)
            rests.append(cfg)
        assert all(rest == rests[0] for rest in rests)
