"""Images for a model: a file, a PIL image, a tensor or an array; what is not 8-bit colours is refused by name."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Callable, TypeVar, Union

import cv2
import mmcv
import numpy as np
import torch
from mmengine.dataset import Compose
from PIL import Image, ImageOps
from torch import Tensor

from ..audit.depth import IMAGE_ADVICE, cuts_images, file_bits
from ..audit.exif import Readers
from ..datasets.pictures import UNREADABLE, why_unreadable
from ..datasets.pipelines import loading_steps, step_name
from ..errors import InputError

#: An image for a predictor.
ImageInput = Union[str, os.PathLike[str], Image.Image, Tensor, np.ndarray]

#: Several of them.
Images = Union[list[ImageInput], tuple[ImageInput, ...]]
Result = TypeVar("Result")

WANTED = (
    "pass a file, a PIL image of 8 bits, a tensor of RGB (3, height, width) of torch.uint8, or BGR pixels (height, "
    "width, 3) of np.uint8, as cv2.imread returns them"
)
EIGHT_BITS = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX")  # Pillow's modes that are read as their files are
DEEP = ("I", "I;16", "I;16B", "I;16L", "F")  # those that ToEightBit scales


class ImageReader:
    """Read images as a test pipeline does.

    Args:
        pipeline: transforms that begin by loading an image: ``LoadImageFromFile`` and, for deep images, ``ToEightBit``.
    """

    def __init__(self, pipeline: Sequence[Any]) -> None:
        self.cuts = cuts_images(pipeline)
        self.turns = not Readers(pipeline).ignores_tags
        steps = loading_steps(pipeline)
        self.load = Compose(steps)
        self.scale = Compose([step for step in steps if step_name(step) == "ToEightBit"])

    def __call__(self, image: ImageInput) -> np.ndarray:
        """Return BGR pixels (H, W, 3) uint8.

        Args:
            image: one image, as :meth:`~davpt_seg.apis.Predictor.__call__` takes it.

        Raises:
            InputError: a file that does not exist, is no image or is too deep, or an image in another layout, type or
                range.
        """
        if isinstance(image, (str, os.PathLike)):
            return self._file(os.fspath(image))
        deep, pixels = bool(self.scale.transforms), image
        if isinstance(image, Image.Image):
            pixels = _pillow_pixels(image, self.turns, deep)
        elif isinstance(image, Tensor):
            pixels = _tensor_pixels(image, deep)
        if not isinstance(pixels, np.ndarray) or isinstance(pixels, np.ma.MaskedArray):
            raise InputError(f"an image is given as {type(image).__name__}; {WANTED}")
        if pixels.size and deep:
            pixels = self.scale(dict(img=pixels))["img"]
        return _eight_bit_bgr(pixels)

    def _file(self, path: str) -> np.ndarray:
        if not os.path.exists(path):
            raise InputError(f"image {path!r} does not exist")
        if os.path.isdir(path):
            raise InputError(f"image {path!r} is a folder; pass the files in it")
        try:
            bits = file_bits(path) or _decoded_bits(path)
            image = None if self.cuts and bits > 8 else self.load(dict(img_path=path))["img"]
        except (AssertionError, cv2.error, *UNREADABLE) as error:  # mmcv asserts that OpenCV could read it
            if isinstance(error, InputError):  # of ToEightBit
                raise
            reason = why_unreadable(error, path)
            raise InputError(f"{path!r} is no image that can be read, or a broken one: {reason}") from error
        if image is None:
            raise InputError(f"image {path!r} has {bits} bits a channel, of which the pipeline reads 8: {IMAGE_ADVICE}")
        return _eight_bit_bgr(image)


def each(predict: Callable[[Any], Result], image: Any) -> Any:
    """Return what a function makes of an image, or a list of that for a list or tuple of images.

    Raises:
        InputError: as the function; for a list, the message says which of its images it is.
    """
    if not isinstance(image, (list, tuple)):
        return predict(image)
    results = []
    for number, one in enumerate(image, start=1):
        try:
            results.append(predict(one))
        except InputError as error:
            raise InputError(f"image {number} of {len(image)}: {error}") from error
    return results


def _decoded_bits(path: str) -> int:
    """Return the bits of a channel that OpenCV decodes where it may keep all; 8 where it cannot read the file."""
    image = mmcv.imread(path, flag=cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH, backend="cv2")
    return 8 if image is None else 8 * image.dtype.itemsize


def _pillow_pixels(image: Image.Image, turns: bool, deep: bool) -> np.ndarray:
    """Return the pixels of a PIL image as OpenCV would read its file: BGR without alpha, (H, W, 3), or deep gray.

    Args:
        image: an image of 8 bits; its colours are those of its palette.
        turns: whether to turn it as its Exif orientation says, as files are.
        deep: whether gray of more bits is taken, (H, W).

    Raises:
        InputError: another mode, or an image whose file cannot be read.
    """
    try:
        upright = ImageOps.exif_transpose(image) if turns else image
        if image.mode in EIGHT_BITS and not deep:
            return np.asarray(upright.convert("RGB"))[..., ::-1]
        if image.mode in DEEP and deep:
            return np.asarray(upright)
    except UNREADABLE as error:  # files are read late, and may be closed or cut off
        name = getattr(image, "filename", "")
        raise InputError(f"PIL image {name!r} cannot be read: {why_unreadable(error, name)}") from error
    advice = "the pipeline reads deeper images (ToEightBit)" if deep else "image.convert('RGB') turns 8 bits into RGB"
    raise InputError(f"a PIL image has mode {image.mode}; {WANTED}; {advice}")


def _tensor_pixels(image: Tensor, deep: bool) -> np.ndarray:
    """Return RGB (3, H, W) as BGR (H, W, 3) of the same type.

    Raises:
        InputError: another type, shape or kind of tensor.
    """
    found = f"a tensor of {image.dtype} has the shape {tuple(image.shape)}; {WANTED}"
    if image.layout != torch.strided or image.is_quantized or image.is_meta:
        raise InputError(f"{found}; it must be dense and hold values")
    if image.dtype != torch.uint8 and not deep:
        advice = "(255 * tensor).round().to(torch.uint8) turns fractions of 0 to 1 into it; undo a normalisation before"
        raise InputError(f"{found}; {advice if image.is_floating_point() else 'tensor.to(torch.uint8) turns 0 to 255'}")
    if image.ndim != 3 or image.shape[0] != 3 or not image.numel():
        advice = "a list of images for several"
        if image.ndim == 3:
            gray = image.shape[0] == 1
            advice = "tensor.expand(3, -1, -1) repeats gray" if gray else "tensor.permute(2, 0, 1) puts channels first"
        raise InputError(f"{found}; {advice if image.numel() else 'it has no pixel'}")
    image = image.detach().as_subclass(Tensor)
    image = image.float() if image.dtype == torch.bfloat16 else image
    return image.permute(1, 2, 0).flip(-1).cpu().contiguous().numpy()


def _eight_bit_bgr(image: np.ndarray) -> np.ndarray:
    """Return an image unchanged.

    Raises:
        InputError: one that is not (H, W, 3) uint8, with what turns it into that.
    """
    if image.dtype != np.uint8:
        advice = {
            "f": "fractions of 0 to 1 become it by numpy.rint(255 * image).astype(numpy.uint8), 0 to 255 without 255 *",
            "u": "12 bits become it by (image * (255 / 4095)).round().astype(numpy.uint8), 16 bits with 65535",
        }.get(image.dtype.kind, "values of 0 to 255 become it by image.astype(numpy.uint8)")
        raise InputError(f"an image has type {image.dtype}; {WANTED}; {advice}")
    if image.ndim == 3 and image.shape[2] == 3 and image.size:
        return image
    if not image.size:
        advice = "it has no pixel"
    elif image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 1):
        advice = "gray becomes it by cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)"
    elif image.ndim == 3 and image.shape[0] in (1, 3):
        advice = "channels come last: image.transpose(1, 2, 0)"
    elif image.ndim == 3 and image.shape[2] == 4:
        advice = "image[..., :3] omits the last channel (alpha); the others must be BGR"
    else:
        advice = "one image each: a list of them for several"
    raise InputError(f"an image has the shape {image.shape}; {WANTED}; {advice}")
