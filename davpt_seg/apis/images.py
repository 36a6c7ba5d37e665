"""Which images the command line means, and where what is made of each goes."""

from __future__ import annotations

import glob
import os.path as osp
from collections.abc import Sequence
from pathlib import Path

import cv2
from torchvision.datasets.folder import IMG_EXTENSIONS

from ..errors import InputError


def find_images(arguments: Sequence[str]) -> list[Path]:
    """List the images that files, folders and glob patterns name, each once.

    Files may be unreadable, as long as one of them is an image.

    Raises:
        InputError: a file that does not exist, a folder or pattern without images, or no image among all of them.
    """
    found = list(dict.fromkeys(path for argument in arguments for path in _expand(argument)))
    if not any(cv2.haveImageReader(str(path)) for path in found):
        names = ", ".join(map(str, found[:3])) + ", ..." * (len(found) > 3)
        raise InputError(f"none of these files is an image that OpenCV can read: {names}")
    return found


def _expand(argument: str) -> list[Path]:
    path = Path(argument)
    if osp.isfile(argument):  # Path.is_file raises on a name that is too long
        return [path]
    if osp.isdir(argument):
        images = sorted(file for file in path.iterdir() if file.is_file() and file.suffix.lower() in IMG_EXTENSIONS)
        if not images:
            raise InputError(
                f"folder {argument!r} holds no image ({' '.join(IMG_EXTENSIONS)}); its own folders are searched by a "
                f"pattern: '{argument.rstrip('/')}/**/*.jpg'"
            )
        return images
    if not glob.has_magic(argument):
        raise InputError(f"image {argument!r} does not exist")
    images = sorted(Path(name) for name in glob.glob(argument, recursive=True) if osp.isfile(name))
    if not images:
        raise InputError(f"pattern {argument!r} matches no file")
    return images


def output_stems(images: Sequence[Path], out: Path) -> list[Path]:
    """Return where in ``out`` the files of each image go, without ending; subfolders stay as below their common one.

    Raises:
        InputError: two images that would write the same file, or ``out`` is a file.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {str(out)!r} is a file; name a folder")
    full = [image.resolve() for image in images]
    common = osp.commonpath([image.parent for image in full])
    stems = [out / image.relative_to(common).with_suffix("") for image in full]
    owners: dict[Path, Path] = {}
    for image, stem in zip(images, stems):
        other = owners.setdefault(stem, image)
        if other != image:
            raise InputError(
                f"{str(other)!r} and {str(image)!r} would write the same files; give them apart, each an --out"
            )
    return stems
