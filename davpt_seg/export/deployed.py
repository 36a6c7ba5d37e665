"""A trained model for deployment: images in 0..255 go in, labels or logits come out."""

from __future__ import annotations

from typing import Any, NamedTuple, Optional

import torch
import torch.nn.functional as F
from mmengine.model import BaseModel
from mmseg.models import BaseSegmentor, SegDataPreProcessor
from torch import Tensor, nn

from ..errors import InputError
from .exportable import exportable_copy, halve, prompted_vit

#: What a deployed model returns.
OUTPUTS = ("labels", "logits")


class Padding(NamedTuple):
    """How a data preprocessor pads right and below in a test: to at least a size, and to multiples of a divisor."""

    least: tuple[int, int] = (0, 0)
    divisor: int = 1
    value: float = 0

    def __call__(self, images: Tensor) -> Tensor:
        """Pad images (B, 3, H, W)."""
        (height, width), divisor = images.shape[2:], self.divisor
        down: Any
        across: Any
        down, across = (torch.sym_max(side, least) for side, least in zip((height, width), self.least))
        down, across = ((side + divisor - 1) // divisor * divisor for side in (down, across))
        return F.pad(images, (0, across - width, 0, down - height), value=self.value)


class DeployedModel(nn.Module):
    """A copy of a trained model, folded, with its normalisation inside; in eval mode.

    An image is predicted at once, in its own size. What the test pipeline does to images (resizing, cropping) comes
    before it.

    Args:
        model: what MMEngine built; it stays as it is.
        output: one of :data:`OUTPUTS`: classes, int64, or logits, float32.
        half: compute in float16.
        reads_rgb: the model reads red first; otherwise blue.
        padding: padding of the model's data preprocessor in a test, or None.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, model: BaseModel, output: str, half: bool, reads_rgb: bool, padding: Optional[Padding] = None
    ) -> None:
        super().__init__()
        preprocessor: Any = model.data_preprocessor
        normalises = preprocessor._enable_normalize
        self.register_buffer("mean", preprocessor.mean.clone() if normalises else torch.zeros(3, 1, 1))
        self.register_buffer("std", preprocessor.std.clone() if normalises else torch.ones(3, 1, 1))
        self.output = output
        self.reads_rgb = reads_rgb
        self.padding = padding
        self.dtype = torch.float16 if half else torch.float32
        self.model = exportable_copy(model)
        if half:
            halve(self.model)
        self.eval()

    @property
    def patch_size(self) -> tuple[int, int]:
        """(height, width) of a patch; 32 where the backbone is another."""
        vit = prompted_vit(self.model)
        return (32, 32) if vit is None else vit.patch_size

    def forward(self, images: Tensor) -> Tensor:
        """Predict images (B, 3, H, W), RGB in 0..255, of any type."""
        entering = images.float()
        if not self.reads_rgb:
            entering = entering.flip(1)
        entering = (entering - self.mean) / self.std
        if self.padding is not None:
            entering = self.padding(entering)
        logits = self.logits(entering.to(self.dtype), (images.shape[2], images.shape[3])).float()
        return self.labels(logits) if self.output == "labels" else logits

    def logits(self, entering: Tensor, size: tuple[int, int]) -> Tensor:
        """Return the logits of normalised images, which were padded from a size (height, width)."""
        raise NotImplementedError

    def labels(self, logits: Tensor) -> Tensor:
        """Return the classes (B, ...) of logits (B, C, ...)."""
        return logits.argmax(dim=1)


class DeployedSegmentor(DeployedModel):
    """A segmentor: labels (B, H, W) or logits (B, C, H, W), in the size of the images."""

    def logits(self, entering: Tensor, size: tuple[int, int]) -> Tensor:
        """Return logits (B, C, H, W)."""
        logits = self.model.encode_decode(entering, [dict(img_shape=entering.shape[2:])])
        return logits if self.padding is None else logits[:, :, : size[0], : size[1]]

    def labels(self, logits: Tensor) -> Tensor:
        """Return labels (B, H, W); a single logit is compared with the head's threshold."""
        if logits.shape[1] > 1:
            return logits.argmax(dim=1)
        return (logits.sigmoid() > self.model.decode_head.threshold).squeeze(1).long()


class DeployedClassifier(DeployedModel):
    """A classifier: labels (B,) or logits (B, C)."""

    def logits(self, entering: Tensor, size: tuple[int, int]) -> Tensor:
        """Return logits (B, C)."""
        return self.model(entering, mode="tensor")


def deployed(model: BaseModel, output: str = "labels", half: bool = False) -> DeployedModel:
    """Return a deployed copy of a segmentor or classifier.

    Raises:
        InputError: windows that slide, or a model or data preprocessor of a class that this does not know.
    """
    if isinstance(model, BaseSegmentor):
        return _deployed_segmentor(model, output, half)
    return _deployed_classifier(model, output, half)


def _deployed_segmentor(model: Any, output: str, half: bool) -> DeployedModel:
    preprocessor = model.data_preprocessor
    _require(preprocessor, SegDataPreProcessor, "data_preprocessor")
    if (model.test_cfg or {}).get("mode", "whole") != "whole":
        raise InputError(
            "this model is tested on windows that slide over the image (test_cfg mode='slide'), which are not "
            "exported; --mode whole exports the model for an image, or a window, at once"
        )
    test, padding = preprocessor.test_cfg, None
    if test:
        size, divisor = test.get("size"), test.get("size_divisor")
        padding = Padding(tuple(size) if size else (0, 0), divisor or 1, preprocessor.pad_val)
    return DeployedSegmentor(model, output, half, preprocessor.channel_conversion, padding)


def _deployed_classifier(model: Any, output: str, half: bool) -> DeployedModel:
    from mmpretrain.models import ClsDataPreprocessor, ImageClassifier
    from mmpretrain.models.heads import ClsHead

    _require(model, ImageClassifier, "model")
    _require(model.data_preprocessor, ClsDataPreprocessor, "data_preprocessor")
    _require(model.head, ClsHead, "head")
    divisor = model.data_preprocessor.pad_size_divisor
    padding = Padding(divisor=divisor, value=model.data_preprocessor.pad_value) if divisor > 1 else None
    return DeployedClassifier(model, output, half, model.data_preprocessor.to_rgb, padding)


def _require(part: object, known: type, name: str) -> None:
    if not isinstance(part, known):
        raise InputError(
            f"export knows segmentors of MMSegmentation and classifiers of MMPretrain; this model's {name} is a "
            f"{type(part).__name__}, not a {known.__name__}"
        )
