"""Keys of the optimizer's config that match no parameter are named."""

from __future__ import annotations

from pathlib import Path

import pytest
from mmengine.config import Config

from davpt_seg.core.adapters.old_lora import current_key
from davpt_seg.engine.trained_table_hook import unmatched_keys

from ..training import by_iterations, tiny_camvid, train

NAMES = [
    "backbone.trunk.blocks.0.attn.qkv.weight",
    "backbone.adapters.lora.layers.blocks_0_attn_qkv.lora_A",
    "backbone.adapters.lora.layers.blocks_0_attn_qkv.lora_B",
    "backbone.prompts.values.0",
    "decode_head.conv_seg.weight",
]


def problems(*keys: str) -> list[str]:
    custom_keys = {key: dict(lr_mult=2.0) for key in keys}
    return list(unmatched_keys(Config(dict(optim_wrapper=dict(paramwise_cfg=dict(custom_keys=custom_keys)))), NAMES))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("lora_A.default", "lora_A"),
        ("lora_B.default.weight", "lora_B"),
        ("attn.qkv.lora_A.default", "attn_qkv.lora_A"),
        ("backbone.trunk.blocks.0.attn.qkv.lora_A.default.weight", NAMES[1]),
        ("trunk.blocks.0.attn.qkv.lora_B.default", "blocks_0_attn_qkv.lora_B"),
        ("attn.qkv.base_layer.weight", "attn.qkv.weight"),
    ],
)  # fmt: skip
def test_an_old_name_of_lora_is_answered_by_the_current_one(old: str, new: str) -> None:
    assert current_key(old) == new
    (problem,) = problems(old)
    assert f"custom_keys {old!r} matches no parameter" in problem and problem.endswith(f"write {new!r}")


def test_a_misspelled_key_is_answered_by_the_nearest_and_keys_that_match_by_nothing() -> None:
    (problem,) = problems("backbone.prompt.values.0", "lora_A", "backbone", "neck", "head", "backbone.prompts")
    assert "'backbone.prompt.values.0' matches no parameter and changes nothing; did you mean" in problem
    assert "'backbone.prompts.values.0'" in problem
    for config in ({}, dict(optim_wrapper=None), dict(optim_wrapper=dict(paramwise_cfg=dict(norm_decay_mult=0.0)))):
        assert not list(unmatched_keys(Config(config), NAMES))


def test_a_training_warns_once_of_each(camvid: Path, tmp_path: Path) -> None:
    cfg = by_iterations(tiny_camvid(camvid, tmp_path), 2)
    cfg.optim_wrapper.paramwise_cfg = dict(custom_keys={"lora_A.default": dict(lr_mult=2.0)})
    runner = train(cfg)
    text = next(Path(runner.log_dir).glob("*.log")).read_text()
    assert text.count("'lora_A.default' matches no parameter") == 1
