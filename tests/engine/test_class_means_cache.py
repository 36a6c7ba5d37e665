"""Kept class means: whole or not there, and of what they are said to be of."""

from __future__ import annotations

import os
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Callable

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from torch.optim import SGD

from davpt_seg.engine import AutocastOptimWrapper, class_means_cache
from davpt_seg.engine.class_means_cache import ClassMeansCache, cache_key
from davpt_seg.models.prompted_vit import PromptedViTBackbone

from ..core.tiny import TINY

MEANS, COUNTS = torch.arange(12.0).view(3, 4), torch.tensor([5, 0, 2])


def test_means_and_counts_come_back_as_they_were_under_their_key_alone(tmp_path: Path) -> None:
    cache = ClassMeansCache(str(tmp_path / "new" / "folder"))
    assert cache.load("a" * 64) is None
    cache.store("a" * 64, MEANS, COUNTS)
    means, counts = cache.load("a" * 64)
    assert torch.equal(means, MEANS) and torch.equal(counts, COUNTS) and counts.dtype == torch.long
    assert cache.load("b" * 64) is None
    assert len(os.listdir(cache.folder)) == 1


def flip(data: bytes) -> bytes:
    return data[:-3] + bytes([data[-3] ^ 1]) + data[-2:]


def write_another(path: Path) -> None:
    path.write_bytes(b"another image")


def change_time(path: Path) -> None:
    os.utime(path, ns=(10**18, 10**18 + 10**9))


@pytest.mark.parametrize("damage", [lambda data: data[:-4], lambda data: b"", flip], ids=["cut", "empty", "flipped"])
def test_a_broken_file_is_named_in_a_warning_and_written_anew(
    damage: Callable[[bytes], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    logger = SimpleNamespace(get_current_instance=lambda: SimpleNamespace(warning=said.append))
    monkeypatch.setattr(class_means_cache, "MMLogger", logger)
    cache = ClassMeansCache(str(tmp_path))
    path = Path(cache.store("a" * 64, MEANS, COUNTS))
    path.write_bytes(damage(path.read_bytes()))
    assert cache.load("a" * 64) is None
    assert len(said) == 1 and str(path) in said[0] and "computing them again" in said[0]
    cache.store("a" * 64, MEANS, COUNTS)
    assert cache.load("a" * 64) is not None and len(said) == 1


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = ClassMeansCache(str(tmp_path))
    cache.store("a" * 64, MEANS, COUNTS)

    def half(path: Path, content: bytes) -> None:
        with open(path, "wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError("disk full")

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(OSError, match="disk full"):
        cache.store("a" * 64, 2 * MEANS, COUNTS)
    assert torch.equal(cache.load("a" * 64)[0], MEANS)
    assert len(os.listdir(tmp_path)) == 1


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_a_colleague_whom_the_umask_lets_read_reads_the_cache(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        path = ClassMeansCache(str(tmp_path)).store("a" * 64, MEANS, COUNTS)
    finally:
        os.umask(before)
    assert os.stat(path).st_mode & 0o777 == 0o640


class Photographs:
    """Stands in for an MMEngine data set."""

    def __init__(self, folder: Path, count: int = 2) -> None:
        self.paths = [folder / f"{i}.png" for i in range(count)]
        for path in self.paths:
            path.write_bytes(b"image")
            os.utime(path, ns=(10**18, 10**18))

    def __len__(self) -> int:
        return len(self.paths)

    def get_data_info(self, index: int) -> dict[str, Any]:
        return dict(img_path=str(self.paths[index]), reduce_zero_label=False)


def key(tmp_path: Path, **changes: Any) -> str:
    """The key of a tiny experiment, some of it changed."""
    torch.manual_seed(changes.get("weights", 0))
    backbone = PromptedViTBackbone(
        "vit_tiny_patch16_224",
        timm_kwargs={**TINY, **changes.get("timm_kwargs", {})},
        prompts=dict(num_prompts=changes.get("num_prompts", 3)),
        guidance={**dict(num_classes=5), **changes.get("guidance", {})},
        adapters=changes.get("adapters", ()),
        tuned=["blocks.*.attn.key_bias"],
        out_type=changes.get("out_type", "featmap"),
    )
    with torch.no_grad():
        backbone.biases.offsets["0_key"].add_(changes.get("bias", 0.0))
        backbone.trunk.blocks[1].mlp.fc2.weight[3, 3].add_(changes.get("weight", 0.0))
    dataset = Photographs(tmp_path, changes.get("images", 2))
    changes.get("touch", lambda path: None)(dataset.paths[1])
    pipeline = [dict(type="Resize", scale=changes.get("scale", 32))]
    loader = dict(dataset=dict(type="Photographs", pipeline=pipeline))
    preprocessor = dict(mean=[changes.get("mean", 0.5)])
    runner = SimpleNamespace(
        cfg=Config(dict(train_dataloader=loader, model=dict(data_preprocessor=preprocessor))),
        train_dataloader=SimpleNamespace(dataset=dataset, num_workers=changes.get("num_workers", 0)),
        optim_wrapper=changes.get("wrapper", OptimWrapper)(optimizer=SGD(backbone.prompts.parameters(), lr=0.1)),
    )
    return cache_key(runner, backbone, max_batches=changes.get("max_batches", 3))


@pytest.mark.parametrize(
    "changes",
    [
        dict(weights=1),
        dict(weight=1e-6),
        dict(weight=1e-6, adapters=[dict(type="lora", rank=2, targets=["mlp.fc2"])]),
        dict(bias=1e-6),
        dict(timm_kwargs=dict(num_heads=2)),  # of the same weights
        dict(guidance=dict(blocks=[0])),
        dict(guidance=dict(metric=dict(token_side="key"))),
        dict(guidance=dict(labelling=dict(purity=0.7))),
        dict(guidance=dict(labelling=dict(labels="image"))),
        dict(guidance=dict(labelling=dict(labels="image"), mapping=dict(class_means="final")), out_type="cls_token"),
        dict(guidance=dict(num_classes=6)),
        dict(guidance=dict(mapping=dict(seed=1))),
        dict(images=3),
        dict(touch=write_another),
        dict(touch=change_time),
        dict(scale=64),
        dict(mean=0.4),
        dict(max_batches=4),
        dict(wrapper=AutocastOptimWrapper),
    ],
    ids=lambda changes: re.sub(r" at 0x\w+", "", str(changes)),
)
def test_whatever_changes_class_means_changes_the_key(changes: dict[str, Any], tmp_path: Path) -> None:
    assert key(tmp_path, **changes) != key(tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        dict(),
        dict(num_prompts=4),
        dict(num_workers=1),
        dict(guidance=dict(patch_weight=1.0, cls_weight=0.5, metric=dict(prompt_side="key", cls_side="query"))),
        dict(guidance=dict(metric=dict(kind="triplet"), mapping=dict(kind="static"))),
        dict(adapters=[dict(type="lora", rank=2)]),
        dict(adapters=[dict(type="lora", rank=4, targets=["mlp.fc1"])]),
        dict(adapters=[dict(type="ssf", std=0.1), dict(type="adapter", width=4), dict(type="key_value_prompts")]),
    ],
    ids=lambda changes: re.sub(r" at 0x\w+", "", str(changes)),
)
def test_whatever_leaves_class_means_alone_leaves_the_key(changes: dict[str, Any], tmp_path: Path) -> None:
    # prompts are drawn after the trunk, so the seed gives the same trunk
    assert key(tmp_path, **changes) == key(tmp_path)


def test_final_class_means_have_a_key_for_each_token_and_none_for_sides(tmp_path: Path) -> None:
    final = dict(labelling=dict(labels="image"), mapping=dict(class_means="final"))
    token = key(tmp_path, guidance=final, out_type="cls_token")
    assert token == key(
        tmp_path, guidance=dict(final, metric=dict(cls_side="query", cls_proxies="prompt")), out_type="cls_token"
    )
    assert token != key(tmp_path, guidance=final, out_type="avg_featmap")
    assert token != key(tmp_path, guidance=dict(final, mapping=dict(class_means="image")), out_type="cls_token")


def test_data_that_nothing_describes_is_refused(tmp_path: Path) -> None:
    backbone = PromptedViTBackbone(
        "vit_tiny_patch16_224", timm_kwargs=TINY, prompts=dict(num_prompts=3), guidance=dict(num_classes=5)
    )
    loader = SimpleNamespace(dataset=Photographs(tmp_path), num_workers=0)
    with pytest.raises(ValueError, match="cache_dir needs a Runner made from a config"):
        cache_key(SimpleNamespace(cfg=Config(), train_dataloader=loader), backbone)
