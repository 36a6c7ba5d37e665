"""Initial values, counts, norms and dropout of the prompts."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from scipy.stats import kstest

from davpt_seg.core import Prompts

from ..tiny import tiny_vit


@pytest.mark.parametrize(("patch_size", "embed_dim"), [((16, 16), 768), ((14, 14), 384), ((7, 5), 64)])
def test_initial_values_are_uniform_in_the_range_of_vpt(patch_size: tuple[int, int], embed_dim: int) -> None:
    torch.manual_seed(0)
    prompts = Prompts(50, depth=2, embed_dim=embed_dim, patch_size=patch_size)
    bound = math.sqrt(6 / (3 * patch_size[0] * patch_size[1] + embed_dim))
    for values in prompts.parameters():
        assert 0.99 * bound < values.max() <= bound and -bound <= values.min() < -0.99 * bound
        assert kstest(values.detach().flatten().numpy(), "uniform", args=(-bound, 2 * bound)).pvalue > 1e-3
    first, second = prompts.parameters()
    assert not torch.equal(first, second)


def test_xavier_initial_values_are_uniform_in_glorots_range() -> None:
    torch.manual_seed(0)
    prompts = Prompts(50, depth=2, embed_dim=384, patch_size=(14, 14), init="xavier")
    bound = math.sqrt(6 / (50 + 384))
    for values in prompts.parameters():
        assert 0.99 * bound < values.max() <= bound and -bound <= values.min() < -0.99 * bound
        assert kstest(values.detach().flatten().numpy(), "uniform", args=(-bound, 2 * bound)).pvalue > 1e-3


@pytest.mark.parametrize("init", ["vpt", "xavier"])
def test_what_is_left_of_pruned_prompts_starts_in_the_range_of_whole_ones(init: str) -> None:
    torch.manual_seed(0)
    segments = ["1000000000000000"] * 50
    values = Prompts(50, 1, 384, (14, 14), init=init, segments=segments).values["0"]
    bound = math.sqrt(6 / (50 + 384 if init == "xavier" else 3 * 14 * 14 + 384))
    assert 0.99 * bound < values.max() <= bound and -bound <= values.min() < -0.99 * bound


@pytest.mark.parametrize(
    ("num_prompts", "counts"), [(5, (5, 5, 5)), ([4, 0, 7], (4, 0, 7)), ((1, 2, 3), (1, 2, 3)), (0, (0, 0, 0))]
)
def test_each_block_has_as_many_prompts_as_it_was_given(num_prompts: Any, counts: tuple[int, ...]) -> None:
    prompts = Prompts(num_prompts, depth=3, embed_dim=8, patch_size=(4, 4))
    assert prompts.counts == counts
    found = [prompts(i) for i in range(3)]
    assert [0 if p is None else len(p) for p in found] == list(counts)
    assert all(p.shape[1] == 8 for p in found if p is not None)
    assert [len(p) for p in prompts.parameters()] == [count for count in counts if count]  # none of them empty


@pytest.mark.parametrize("norm", ["none", "l2", "layer"])
def test_norms_do_what_their_names_say(norm: str) -> None:
    torch.manual_seed(0)
    prompts = Prompts(6, depth=1, embed_dim=32, patch_size=(4, 4), norm=norm).double()
    with torch.no_grad():
        prompts.values["0"].mul_(torch.logspace(-1, 2, 6)[:, None]).add_(0.3)
    values, ours = prompts.values["0"], prompts(0)
    if norm == "none":
        expected = values
    elif norm == "l2":
        expected = values / values.square().sum(1, keepdim=True).sqrt()
    else:
        expected = (values - values.mean(1, keepdim=True)) / (values.var(1, correction=0, keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(ours, expected, rtol=1e-9, atol=1e-12)
    assert ours.requires_grad


def test_dropout_zeroes_its_share_and_scales_the_rest_in_training_only() -> None:
    torch.manual_seed(0)
    prompts = Prompts(100, depth=1, embed_dim=64, patch_size=(4, 4), dropout=0.25)
    values, dropped = prompts.values["0"].detach(), prompts(0).detach()
    kept = dropped != 0
    assert kept.float().mean().item() == pytest.approx(0.75, abs=0.02)
    torch.testing.assert_close(dropped[kept], values[kept] / 0.75)
    assert torch.equal(prompts.eval()(0), values)


def test_dropout_is_shared_in_the_batch_and_drawn_anew_for_the_next() -> None:
    model = tiny_vit(prompts=dict(num_prompts=20, dropout=0.5)).train()
    images = torch.randn(1, 3, 32, 32, dtype=torch.float64).expand(3, -1, -1, -1)
    maps, next_maps = model(images).maps[0], model(images).maps[0]
    torch.testing.assert_close(maps, maps[:1].expand_as(maps), rtol=0, atol=1e-12)
    assert (maps - next_maps).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            dict(num_prompts=-1),
            r"num_prompts must be an integer of at least 0 or a list of .*, got -1; .* one number per block",
        ),
        (dict(num_prompts=[1, -2, 3]), r"num_prompts.*got \[1, -2, 3\]"),
        (dict(num_prompts=[1, 2]), r"num_prompts.*3 of them \(one per block\), got \[1, 2\]"),
        (dict(num_prompts=[]), r"num_prompts.*got \[\]"),
        (dict(num_prompts=2, norm="batch"), r"norm must be one of \('none', 'l2', 'layer'\), got 'batch'"),
    ],
)
def test_impossible_prompts_are_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Prompts(depth=3, embed_dim=8, patch_size=(4, 4), **config)
