"""The replacements of mmcv's compiled ops equal their definitions, through mmcv's own functions."""

from __future__ import annotations

import importlib.util

import mmseg.models  # noqa: F401  (imports mmcv.ops)
import pytest
import torch
from mmcv.ops import RoIAlign, batched_nms, multi_scale_deform_attn, nms, sigmoid_focal_loss
from torch import Tensor
from torchvision import ops

pytestmark = pytest.mark.skipif(importlib.util.find_spec("mmcv._ext") is not None, reason="full mmcv is installed")


def some_boxes(count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Boxes of whole numbers, so that an offset of one pixel matters, and their scores."""
    generator = torch.Generator().manual_seed(seed)
    corner = torch.randint(0, 40, (count, 2), generator=generator).float()
    size = torch.randint(1, 20, (count, 2), generator=generator).float()
    return torch.cat([corner, corner + size], 1), torch.rand(count, generator=generator)


def greedy(boxes: Tensor, scores: Tensor, threshold: float, offset: int) -> list[int]:
    """Non-maximum suppression as it is defined: take the best box, drop what overlaps it, repeat."""
    left = scores.argsort(descending=True).tolist()
    kept = []
    while left:
        best = left.pop(0)
        kept.append(best)
        left = [other for other in left if overlap(boxes[best], boxes[other], offset) <= threshold]
    return kept


def overlap(one: Tensor, other: Tensor, offset: int) -> float:
    def area(box: Tensor) -> float:
        return float((box[2:] - box[:2] + offset).clamp(min=0).prod())

    common = torch.cat([torch.maximum(one[:2], other[:2]), torch.minimum(one[2:], other[2:])])
    shared = area(common)
    return shared / (area(one) + area(other) - shared)


@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("threshold", [0.1, 0.5, 0.9])
def test_nms_is_the_greedy_definition(offset: int, threshold: float) -> None:
    boxes, scores = some_boxes(60)
    dets, kept = nms(boxes, scores, threshold, offset=offset)
    expected = greedy(boxes.double(), scores.double(), threshold, offset)
    assert kept.tolist() == expected
    assert torch.equal(dets, torch.cat([boxes, scores[:, None]], 1)[expected])


def test_nms_keeps_the_best_above_a_score() -> None:
    boxes, scores = some_boxes(60)
    _, kept = nms(boxes, scores, 0.5, score_threshold=0.3, max_num=7)
    confident = [index for index in greedy(boxes, scores, 0.5, 0) if scores[index] > 0.3]
    assert kept.tolist() == confident[:7]


def test_nms_of_no_boxes_is_empty() -> None:
    dets, kept = nms(torch.zeros(0, 4), torch.zeros(0), 0.5)
    assert dets.shape == (0, 5)
    assert kept.shape == (0,)


def test_batched_nms_is_torchvisions() -> None:
    boxes, scores = some_boxes(200)
    classes = torch.arange(200) % 5
    _, kept = batched_nms(boxes, scores, classes, dict(type="nms", iou_threshold=0.5))
    assert kept.tolist() == ops.batched_nms(boxes, scores, classes, 0.5).tolist()


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("sampling_ratio", [0, 2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_roi_align_and_its_gradient_are_torchvisions(aligned: bool, sampling_ratio: int, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    boxes, _ = some_boxes(9)
    rois = torch.cat([torch.arange(9)[:, None] % 2, boxes], 1).to(dtype)
    maps = [torch.randn(2, 3, 16, 16, dtype=dtype).requires_grad_()]
    maps.append(maps[0].detach().clone().requires_grad_())
    found = RoIAlign((3, 2), 0.25, sampling_ratio, aligned=aligned)(maps[0], rois)
    expected = ops.roi_align(maps[1], rois, (3, 2), 0.25, sampling_ratio, aligned)
    weight = torch.randn_like(found)
    (found * weight).sum().backward()
    (expected * weight).sum().backward()
    assert torch.equal(found, expected)
    assert torch.equal(maps[0].grad, maps[1].grad)


def test_roi_align_of_maxima_says_what_it_needs() -> None:
    with pytest.raises(NotImplementedError, match="pool_mode='max' needs mmcv's compiled ops"):
        RoIAlign((2, 2), pool_mode="max")(torch.zeros(1, 1, 4, 4), torch.zeros(1, 5))


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_the_focal_loss_and_its_gradient_are_the_formula(reduction: str) -> None:
    torch.manual_seed(0)
    logits = [torch.randn(7, 4, dtype=torch.float64).requires_grad_()]
    logits.append(logits[0].detach().clone().requires_grad_())
    target = torch.tensor([0, 1, 2, 3, 4, 4, 1])  # 4 is background
    found = sigmoid_focal_loss(logits[0], target, 2.0, 0.25, None, reduction)
    is_class = target[:, None] == torch.arange(4)
    p = logits[1].sigmoid()
    certainty = torch.where(is_class, p, 1 - p)
    expected = -torch.where(is_class, 0.25, 0.75) * (1 - certainty) ** 2 * certainty.log()
    expected = {"none": expected, "mean": expected.sum() / 7, "sum": expected.sum()}[reduction]
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
    found.sum().backward()
    expected.sum().backward()
    torch.testing.assert_close(logits[0].grad, logits[1].grad, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("boxes_type", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("scores_type", [torch.float16, torch.bfloat16, torch.float32])
def test_nms_takes_the_types_of_mixed_precision(boxes_type: torch.dtype, scores_type: torch.dtype) -> None:
    boxes, scores = some_boxes(30)  # whole numbers below 60, exact in all types
    scores = torch.arange(30).flip(0) / 32
    _, kept = nms(boxes.to(boxes_type), scores.to(scores_type), 0.5)
    assert kept.tolist() == greedy(boxes.double(), scores.double(), 0.5, 0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_roi_align_in_half_precision_is_the_rounded_result(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    boxes, _ = some_boxes(9)
    rois = torch.cat([torch.arange(9)[:, None] % 2, boxes], 1)
    half = torch.randn(2, 3, 16, 16, dtype=dtype).requires_grad_()
    single = half.detach().float().requires_grad_()
    found, expected = (RoIAlign((3, 2), 0.25, 2)(maps, rois.to(maps.dtype)) for maps in (half, single))
    weight = torch.randn_like(found)
    (found * weight).sum().backward()
    (expected * weight.float()).sum().backward()
    assert found.dtype == half.grad.dtype == dtype
    assert torch.equal(found, expected.to(dtype))
    assert torch.equal(half.grad, single.grad.to(dtype))


def bilinear(grid: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Read a map (h, w, D) at a place, in pixels from the first pixel's centre; what lies outside is 0."""
    total = grid.new_zeros(grid.shape[-1])
    for row in range(grid.shape[0]):
        for column in range(grid.shape[1]):
            near = (1 - (x - column).abs()).clamp(min=0) * (1 - (y - row).abs()).clamp(min=0)
            total = total + near * grid[row, column]
    return total


def attended(value: Tensor, shapes: Tensor, locations: Tensor, weights: Tensor) -> Tensor:
    """Multi-scale deformable attention as it is defined (arXiv 2010.04159, Eq. 3), place by place."""
    images, queries, heads, _, points, _ = locations.shape
    levels = value.split([int(h * w) for h, w in shapes], 1)
    rows = []
    for image in range(images):
        for query in range(queries):
            for head in range(heads):
                total = value.new_zeros(value.shape[-1])
                for level, (h, w) in enumerate(shapes.tolist()):
                    grid = levels[level][image, :, head].view(h, w, -1)
                    for point in range(points):
                        x, y = locations[image, query, head, level, point] * locations.new_tensor([w, h]) - 0.5
                        total = total + weights[image, query, head, level, point] * bilinear(grid, x, y)
                rows.append(total)
    return torch.stack(rows).view(images, queries, -1)


def test_deformable_attention_is_the_definition_in_torch_on_every_device() -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = torch.tensor([[3, 4], [2, 2]])
    places = (2, 3, 2, 2, 2)  # images, queries, heads, levels, points
    value, at, weights = (
        torch.rand(shape, generator=generator, dtype=torch.float64) for shape in ((2, 16, 2, 5), (*places, 2), places)
    )
    at = at * 1.4 - 0.2  # some outside of the image
    found = multi_scale_deform_attn.multi_scale_deformable_attn_pytorch(value, shapes, at, weights)
    torch.testing.assert_close(found, attended(value, shapes, at, weights), rtol=1e-10, atol=1e-12)

    class OnAGPU(torch.Tensor):
        is_cuda = True

    module = multi_scale_deform_attn.MultiScaleDeformableAttention(8, 2, 2, dropout=0, batch_first=True)
    query, values = torch.rand(1, 3, 8, generator=generator), torch.rand(1, 16, 8, generator=generator)
    points = torch.rand(1, 3, 2, 2, generator=generator)
    given = dict(reference_points=points, spatial_shapes=shapes, level_start_index=torch.tensor([0, 12]))
    expected = module(query, value=values, **given)
    assert torch.equal(module(query.as_subclass(OnAGPU), value=values.as_subclass(OnAGPU), **given), expected)
