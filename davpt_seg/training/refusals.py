"""Errors of other libraries, turned into errors that name the part of the config or the data."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import torch
from PIL import Image, UnidentifiedImageError

from ..errors import DataError, InputError
from ..terminal.frames import custom_place
from ..terminal.program import command_line
from ..terminal.system import of_system
from .registered import plain_words

# What OpenMMLab, torch, timm and OpenCV raise for what they cannot build or run.
REFUSALS = (
    *(ValueError, TypeError, LookupError, AttributeError, AssertionError, ArithmeticError, RuntimeError),
    *(ImportError, OSError, cv2.error),
)
# Parts of the messages of Pillow, mmcv and OpenCV about files that they cannot read.
OF_IMAGES = (
    *("image file is truncated", "failed to load image", "broken PNG", "not a PNG", "decompression bomb"),
    *("!buf.empty()", "CV_IO_MAX_IMAGE_PIXELS"),
)


@contextmanager
def step(what: str, memory: str = "lower train_dataloader.batch_size") -> Iterator[None]:
    """Turn what OpenMMLab or torch raises in a part of the run into an error that names the part.

    Exceptions that pass through other files, such as a custom module's, keep their traceback: they may be bugs.

    Args:
        what: start of the message: what cannot be done, and the keys of the config that it depends on.
        memory: advice if the GPU's memory is too small.

    Raises:
        InputError: the part failed.
    """
    try:
        yield
    except InputError:
        raise
    except torch.cuda.OutOfMemoryError as error:
        raise InputError(f"{what}: the GPU's memory is too small: {memory} ({str(error).splitlines()[0]})") from error
    except REFUSALS as error:
        if custom_place(error) or of_system(error):
            raise
        if words := plain_words(error):
            raise InputError(f"{what}: {words}") from error
        place = traceback.extract_tb(error.__traceback__)[-1]
        text = error.args[0] if isinstance(error, KeyError) and error.args else error
        reason = " ".join(str(text).split()) or f"not fulfilled: {place.line}"
        raise InputError(f"{what}: {type(error).__name__}: {reason} (at {place.filename}:{place.lineno})") from error


@contextmanager
def advise_check(config: str) -> Iterator[None]:
    """Turn errors of reading an image or mask, which do not name the file, into one that names the command to find it.

    Raises:
        DataError: such a file was met.
    """
    try:
        yield
    except (OSError, AssertionError, SyntaxError, Image.DecompressionBombError, cv2.error) as error:
        text = " ".join(str(error).strip().rpartition("\n")[2].split())  # of a worker's, whose text is a traceback
        if not isinstance(error, UnidentifiedImageError) and not any(words in text for words in OF_IMAGES):
            raise
        reason = text.partition(" <")[0]  # without the address of Pillow's buffer
        raise DataError(
            f"an image or mask could not be read ({reason}); {command_line('check-dataset', config)} names it"
        ) from error
