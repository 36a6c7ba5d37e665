"""E2VPT's pruning: the right prompts go, and what is gone costs nothing."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from davpt_seg.core import PromptedViT
from davpt_seg.core.prompts.importance import Importance, prompt_importance, pruned

from ..test_methods import images, learned, stir
from ..tiny import tiny_vit


def task_loss(model: PromptedViT, batch: Tensor) -> Tensor:
    features = model(batch)
    return features.maps[0].square().sum() + features.class_token.sum()


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(("norm", "start"), [("none", "joint"), ("l2", "joint"), ("l2", "offset"), ("none", "gate")])
def test_importance_is_the_mean_gradient_of_masks(norm: str, start: str, signed: bool) -> None:
    torch.manual_seed(0)
    model = stir(tiny_vit(prompts=dict(num_prompts=4, norm=norm, start=start)))
    batches = [images(), 2 * images() + 1, -images()]
    found = prompt_importance(model.prompts, batches, lambda batch: task_loss(model, batch), signed=signed)
    expected = torch.zeros(4, 17, dtype=torch.float64)
    for batch in batches:
        masks = torch.ones(4, 17, dtype=torch.float64, requires_grad=True)  # of the prompt, and of its 16 segments
        whole = masks[:, :1] * masks[:, 1:].repeat_interleave(2, dim=1)
        masked = {f"prompts.values.{i}": whole * model.prompts.values[str(i)] for i in range(2)}
        if start == "offset":
            masked |= {f"prompts.initial.{i}": whole * model.prompts.initial(str(i)) for i in range(2)}
        features = torch.func.functional_call(model, masked, batch)
        loss = features.maps[0].square().sum() + features.class_token.sum()
        (gradient,) = torch.autograd.grad(loss, masks)
        expected += (gradient if signed else gradient.abs()) / 3
    torch.testing.assert_close(found.prompts, expected[:, 0], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(found.segments, expected[:, 1:], rtol=1e-9, atol=1e-9)
    assert not any(buffer.requires_grad for buffer in model.buffers())


def test_prompts_are_ranked_by_masks_or_by_their_segments() -> None:
    importance = Importance(torch.tensor([1.0, 2.0]), torch.tensor([[3.0, 4.0], [1.0, 1.0]]))
    assert importance.ranked("masks").prompts.tolist() == [1, 2]
    assert importance.ranked("segments").prompts.tolist() == [7, 2]


def test_the_least_important_go() -> None:
    scores = torch.tensor([[4.0, 3, 2, 1], [1, 2, 3, 4], [9, 0, 8, 0.5], [1, 1, 1, 1]])
    importance = Importance(torch.tensor([0.1, 5.0, 3.0, 0.2]), scores)
    assert pruned(importance, 0.5, 0.5) == dict(num_prompts=2, segments=["0011", "1010"])
    assert pruned(importance, 0.25, 0.75) == dict(num_prompts=3, segments=["0001", "1000", "0001"])
    assert pruned(importance, 0, 0) == dict(num_prompts=4, segments=["1111"] * 4)


def test_what_is_removed_is_zero_and_the_rest_is_learned_anew() -> None:
    torch.manual_seed(0)
    prompts = tiny_vit(prompts=dict(num_prompts=2, segments=["1001", "0100"])).prompts
    values = prompts(0)
    assert values.shape == (2, 32)
    kept = torch.zeros(2, 32, dtype=torch.bool)
    kept[0, :8] = kept[0, 24:] = kept[1, 8:16] = True
    assert torch.equal(values != 0, kept)
    assert torch.equal(values[kept], prompts.values["0"].flatten())
    bound = (6 / (3 * 8 * 8 + 32)) ** 0.5  # that of whole prompts
    assert 0.7 * bound < values.abs().max() <= bound


def operations(model: PromptedViT) -> int:
    # torch counts no fused attention of the CPU; unfused it is two products of matrices
    with FlopCounterMode(display=False) as counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        model.eval()(images())
    return counter.get_total_flops()


def test_pruned_prompts_cost_nothing() -> None:
    """Not only masked: as many operations and keys as prompts that were never there, and no numbers to learn."""
    torch.manual_seed(0)
    model = tiny_vit(prompts=dict(num_prompts=8))
    importance = prompt_importance(model.prompts, [images()], lambda batch: task_loss(model, batch))
    config = pruned(importance, 0.75, 0.5)
    small, never = tiny_vit(prompts=config), tiny_vit(prompts=dict(num_prompts=2))
    assert operations(small) == operations(never)
    tokens, width = 1 + 15, 32
    projected, attended = 3 * width * width, 2 * len(images()) * tokens * width  # a prompt's, in one block
    assert operations(model) - operations(small) == 2 * (8 - 2) * 2 * (projected + attended)
    assert sum(p.numel() for p in learned(small).values()) == 2 * 2 * 32 // 2
    for _, prompts, attended in small.walk(small.embed(images())):
        assert len(prompts) == len(attended.prompts.key) == 2


def test_pruned_prompts_attend_as_tokens_with_zeros() -> None:
    torch.manual_seed(0)
    small = tiny_vit(prompts=dict(num_prompts=2, segments=["1101", "0111"]))
    torch.manual_seed(0)
    full = tiny_vit(prompts=dict(num_prompts=2))
    with torch.no_grad():
        for i in range(2):
            full.prompts.values[str(i)].copy_(small.prompts(i))
    torch.testing.assert_close(small(images()).maps[0], full(images()).maps[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (dict(num_prompts=2, segments=["11", "00"]), r"with a 1 in each, got \['11', '00'\]"),
        (dict(num_prompts=2, segments=["11", "1"]), r"equally long texts"),
        (dict(num_prompts=2, segments=["12", "11"]), r"texts of 0 and 1"),
        (dict(num_prompts=2, segments=[]), r"must be a list"),
        (dict(num_prompts=3, segments=["11", "01"]), r"segments are of 2 prompts, num_prompts \(3, 3\)"),
        (dict(num_prompts=1, segments=["111"]), r"3 do not divide the width 32"),
    ],
)
def test_impossible_segments_are_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny_vit(prompts=config)


@pytest.mark.parametrize(("shares", "what"), [((1.0, 0.5), "prompt"), ((-0.1, 0), "prompt"), ((0.5, 0.9), "segment")])
def test_shares_that_leave_nothing_are_refused(shares: tuple[float, float], what: str) -> None:
    with pytest.raises(ValueError, match=rf"pruning {what}_share=.* must be at least 0 and leave one"):
        pruned(Importance(torch.ones(4), torch.ones(4, 4)), *shares)


def test_what_cannot_be_pruned_is_refused() -> None:
    def importance(batches: list[Tensor], number: int = 16, **prompts: Any) -> Importance:
        model = tiny_vit(prompts=prompts)
        return prompt_importance(model.prompts, batches, lambda batch: task_loss(model, batch), number)

    for prompts in (dict(num_prompts=[2, 3]), dict(num_prompts=1, segments=["10"])):
        with pytest.raises(ValueError, match="pruning needs complete prompts, the same number in each block"):
            importance([images()], **prompts)
    with pytest.raises(ValueError, match="5 segments do not divide the width 32"):
        importance([images()], number=5, num_prompts=2)
    with pytest.raises(ValueError, match="at least one batch"):
        importance([], num_prompts=2)
