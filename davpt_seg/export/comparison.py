"""Is a file that was written the model? Its outputs against those of the model's own test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Optional

import torch
import torch.nn.functional as F
from mmengine.model import BaseModel
from mmseg.models import BaseSegmentor
from mmseg.structures import SegDataSample
from torch import Tensor

from .program import Run

#: Largest difference of logits that is rounding, as a share of the largest logit, by the type that a file computes in.
TOLERANCES = {torch.float32: 1e-3, torch.float16: 5e-2}


class DiffersError(Exception):
    """A file whose outputs are not the model's.

    Apart from other errors because the input is fine: the command ends with status 1 and keeps no file.
    """


class Case(NamedTuple):
    """Images (B, 3, H, W), RGB in 0..255, and the model's own scores for them.

    Scores are logits (B, C, ...); of a segmentor with a single logit, probabilities (B, 1, H, W).
    """

    images: Tensor
    scores: Tensor


class Difference(NamedTuple):
    """How far outputs are from the model's.

    Attributes:
        largest: largest difference of logits; of labels, how far the logit of a label is below the model's largest.
        scale: largest absolute logit.
        labels: share of the labels that differ, or None for logits.
    """

    largest: float
    scale: float
    labels: Optional[float]

    def __str__(self) -> str:
        of = f"{self.largest:.1e} of logits up to {self.scale:.3g}"
        return of if self.labels is None else f"{100 * self.labels:.4f} % of the labels, by at most {of}"


@torch.no_grad()
def cases(model: BaseModel, sizes: Sequence[tuple[int, int]], dtype: torch.dtype) -> list[Case]:
    """Let a model test images of each size, one image of the first and three of the second.

    Args:
        model: what MMEngine built, as it was trained.
        sizes: heights and widths.
        dtype: the images' dtype.
    """
    made = []
    for count, size in zip((1, 3), sizes):
        images = _images(count, size)
        made.append(Case(images.to(dtype), _own_scores(model, images)))
    return made


def _images(count: int, size: tuple[int, int]) -> Tensor:
    """Return images (B, 3, H, W) of coloured areas and noise, the same ones each time."""
    generator = torch.Generator().manual_seed(0)
    areas = F.interpolate(torch.rand(count, 3, 4, 5, generator=generator), size, mode="bilinear")
    noise = torch.randn(count, 3, *size, generator=generator)
    return (255 * areas + 16 * noise).round().clamp(0, 255)


def _own_scores(model: Any, images: Tensor) -> Tensor:
    """Return a model's scores by its own data preprocessor and test."""
    loaded = list(images.to(torch.uint8).flip(1))  # BGR, as loaders give it
    if not isinstance(model, BaseSegmentor):
        return model(model.data_preprocessor(dict(inputs=loaded))["inputs"], mode="tensor").float()
    size = tuple(images.shape[2:])
    samples = [SegDataSample(metainfo=dict(ori_shape=size, img_shape=size)) for _ in loaded]
    found = model.test_step(dict(inputs=loaded, data_samples=samples))
    return torch.stack([sample.seg_logits.data for sample in found]).float()


@torch.no_grad()
def difference(run: Run, made: Sequence[Case], output: str, threshold: Optional[float] = None) -> Difference:
    """Return how far outputs are from the model's, over all cases.

    Args:
        run: the function that is compared.
        made: what :func:`cases` returned.
        output: ``labels`` or ``logits``.
        threshold: smallest probability, where a segmentor has a single logit.
    """
    found = [(run(images), scores) for images, scores in made]
    if output == "logits":
        gaps = [_gap_of_logits(logits, scores, threshold) for logits, scores in found]
    else:
        gaps = [_gap_of_labels(labels, scores, threshold) for labels, scores in found]
    scale = max(float(scores.abs().max()) for _, scores in found)
    largest = max(float(gap.nan_to_num(nan=torch.inf).max()) for gap in gaps)
    wrong = [gap > 0 for gap in gaps]
    share = sum(int(each.sum()) for each in wrong) / sum(each.numel() for each in wrong)
    return Difference(largest, scale, share if output == "labels" else None)


def _gap_of_logits(logits: Tensor, scores: Tensor, threshold: Optional[float]) -> Tensor:
    logits = logits.float() if threshold is None else logits.float().sigmoid()
    _require_shape(logits, scores.shape)
    return (logits - scores).abs()


def _gap_of_labels(labels: Tensor, scores: Tensor, threshold: Optional[float]) -> Tensor:
    _require_shape(labels, (scores.shape[0], *scores.shape[2:]))
    if threshold is not None:
        distance = (scores - threshold).abs().squeeze(1)
        return torch.where((scores > threshold).squeeze(1) == labels.bool(), 0.0, distance)
    return scores.amax(dim=1) - scores.gather(1, labels.long()[:, None]).squeeze(1)


def _require_shape(found: Tensor, shape: Sequence[int]) -> None:
    if found.shape != torch.Size(shape):
        raise DiffersError(f"its output has the shape {tuple(found.shape)}, and the model's {tuple(shape)}")


def require_equal(found: Difference, dtype: torch.dtype) -> None:
    """Check that a difference is rounding.

    Raises:
        DiffersError: it is more.
    """
    allowed = TOLERANCES[dtype] * found.scale
    if not found.largest <= allowed:
        raise DiffersError(f"its outputs differ from the model's: {found}; at most {allowed:.1e} would be rounding")
