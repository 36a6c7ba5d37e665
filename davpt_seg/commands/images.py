"""Input images of a command line, and their output files."""

from __future__ import annotations

import glob
import os.path as osp
from collections.abc import Sequence
from pathlib import Path

import cv2

from ..errors import InputError, some
from ..image_names import IMAGE_SUFFIXES, check_utf8
from ..visualization.output_names import output_names

OUTPUTS = ("_picture.png", "_labels.png")


def find_images(arguments: Sequence[str]) -> list[Path]:
    """List the images that files, folders and glob patterns name, each once.

    Files may be unreadable, as long as one of them is an image.

    Raises:
        InputError: a file that does not exist, a name that is not UTF-8, a folder or pattern without images, or no
            image among all of them.
    """
    files: dict[Path, Path] = {}
    for path in (path for argument in arguments for path in _expand(argument)):
        files.setdefault(path.parent.resolve() / path.name, path)
    found = list(files.values())
    for path in found:  # OpenCV crashes on such names
        check_utf8(path, "the images")
    if not any(cv2.haveImageReader(str(path)) for path in found):
        raise InputError(f"none of these files is an image that OpenCV can read: {some(found)}")
    return found


def _expand(argument: str) -> list[Path]:
    path = Path(argument)
    if osp.isfile(argument):  # Path.is_file raises on a name that is too long
        return [path]
    if osp.isdir(argument):
        images = sorted(file for file in path.iterdir() if file.is_file() and file.suffix.lower() in IMAGE_SUFFIXES)
        if not images:
            raise InputError(
                f"folder {argument!r} holds no image ({' '.join(IMAGE_SUFFIXES)}); search its subfolders by a "
                f"pattern: '{argument.rstrip('/')}/**/*.jpg'"
            )
        return images
    if not glob.has_magic(argument):
        raise InputError(f"image {argument!r} does not exist")
    images = sorted(Path(name) for name in glob.glob(argument, recursive=True) if osp.isfile(name))
    if not images:
        raise InputError(f"pattern {argument!r} matches no file")
    return images


def output_stems(images: Sequence[Path], out: Path, endings: Sequence[str] = OUTPUTS) -> list[Path]:
    """Return the output paths of each image in ``out``, without ending: see :func:`output_names`.

    Args:
        images: images, each once.
        out: output folder, which may not exist yet.
        endings: endings of the files that are written for an image.

    Raises:
        InputError: ``out`` is a file, or a folder where an output would replace one of the images.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {str(out)!r} is a file; name a folder")
    names = output_names(map(str, images))
    inputs = {image.resolve() for image in images}
    for image in images:
        for ending in endings:
            file = output(out / names[str(image)], ending)
            if file.resolve() in inputs:
                raise InputError(
                    f"--out {str(out)!r}: {file.name!r}, the output for {str(image)!r}, would replace an image; name "
                    "another folder"
                )
    return [out / names[str(image)] for image in images]


def output(stem: Path, ending: str) -> Path:
    """Return the path of an image's stem with an ending."""
    return stem.parent / (stem.name + ending)
