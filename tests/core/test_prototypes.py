"""Prompts that start at prototypes, against scikit-learn's k-means on what timm's blocks really read."""

from __future__ import annotations

import pytest
import torch
from sklearn.cluster import KMeans
from torch import Tensor

from davpt_seg.core.prototypes import Prototypes, prototypes

from .tiny import TRAITS, tiny_vit


@pytest.mark.parametrize("trait", ["plain", "registers"])
def test_prompts_start_at_the_means_of_the_tokens_that_enter_their_block(trait: str) -> None:
    torch.manual_seed(0)
    model = tiny_vit(prompts=dict(num_prompts=[1, 3]), timm_kwargs=TRAITS[trait]).train()
    patterns = torch.randn(3, 3, 8, 8, dtype=torch.float64)
    images = patterns[torch.arange(3 * 16) % 3].view(3, 4, 4, 3, 8, 8).permute(0, 3, 1, 4, 2, 5).reshape(3, 3, 32, 32)
    model.trunk.pos_embed.data.zero_()  # three kinds of patches, so three means, whatever k-means starts from
    read: list[Tensor] = []
    for block in model.trunk.blocks:
        block.norm1.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
    model.trunk.eval()(images)
    first, second = (tokens[:, model.trunk.num_prefix_tokens :].flatten(0, 1).detach() for tokens in read)
    read.clear()

    assert prototypes(model, [images[:1], images[1:]]) == 3 * 16
    assert model.training
    torch.testing.assert_close(model.prompts.values["0"].detach(), first.mean(0, keepdim=True), atol=1e-5, rtol=1e-5)
    expected = torch.from_numpy(KMeans(3, random_state=1, n_init=5).fit(second.numpy()).cluster_centers_)
    distances = torch.cdist(model.prompts.values["1"].detach(), expected)
    assert sorted(distances.argmin(dim=1).tolist()) == [0, 1, 2]
    assert distances.min(dim=1).values.max() < 0.02 * torch.cdist(expected, expected).max()


def test_too_few_tokens_or_no_prompts_are_refused() -> None:
    images = torch.zeros(1, 3, 8, 8, dtype=torch.float64)
    with pytest.raises(ValueError, match="block 0 has 4 prompts, more than the 1 patch tokens"):
        prototypes(tiny_vit(prompts=dict(num_prompts=4)), [images])
    with pytest.raises(ValueError, match="the model has none"):
        prototypes(tiny_vit(), [images])
    with pytest.raises(ValueError, match="starts complete prompts, but segments are given"):
        tiny_vit(prompts=dict(num_prompts=2, segments=["10", "11"], init="prototypes"))


def test_prototypes_hold_one_batch_at_a_time_and_meet_k_means() -> None:
    """Three clouds in many batches of which the first is smaller than the number of means."""
    torch.manual_seed(0)
    centers = 10 * torch.eye(3, 8)
    points = (centers[torch.arange(600) % 3] + torch.randn(600, 8)).split([2, *[46] * 13])
    found = Prototypes(3, seed=0)
    for batch in points:
        found.observe(batch)
    assert found.seen == 600 and found.first is None
    nearest = torch.cdist(centers, found.means())
    assert sorted(nearest.argmin(dim=1).tolist()) == [0, 1, 2] and nearest.min(dim=1).values.max() < 1


def test_prompts_that_await_prototypes_refuse_to_train() -> None:
    model = tiny_vit(prompts=dict(num_prompts=2, init="prototypes"))
    images = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"no prototypes were taken yet\. Set method=\.\.\.\+prototypes"):
        model.train()(images)
    model.eval()(images)
    other = tiny_vit(prompts=dict(num_prompts=2, init="prototypes"))
    prototypes(model, [images])
    model.train()(images)
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.train()(images).maps[0], model(images).maps[0])


def test_prompts_of_another_shape_are_no_prototypes() -> None:
    model = tiny_vit(prompts=dict(num_prompts=3, init="prototypes"))
    of_two = tiny_vit(prompts=dict(num_prompts=2)).state_dict()
    with pytest.raises(RuntimeError, match="size mismatch"):
        model.load_state_dict(of_two)
    assert model.prompts.awaits_prototypes
    model.load_state_dict(tiny_vit(prompts=dict(num_prompts=3)).state_dict())
    assert not model.prompts.awaits_prototypes
