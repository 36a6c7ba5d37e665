"""CIFAR-10's own files, read without running pickle, and 1,000 of its images in VTAB-1k's layout.

Both versions of https://www.cs.toronto.edu/~kriz/cifar.html are read: the binary one (``*.bin``), and the Python one,
which torchvision downloads. The latter are pickles; here they are only taken apart into their operations, of which none
is run: the pixels are the one text of their size, and the labels are the numbers after the key ``labels``.
"""

from __future__ import annotations

import pickletools
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

import numpy as np
from PIL import Image

from ..errors import DataError
from ..replacing import replacing

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SIDE = 32
PIXELS = 3 * SIDE * SIDE
BATCHES = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")
COUNTS = dict(train800=80, val200=20, test=100)  # images of each class
INTEGERS = ("BININT", "BININT1", "BININT2", "INT", "LONG", "LONG1")  # operations of pickle
LARGEST = 64 * 2**20  # bytes of a batch; the published ones have 31 million
Images = tuple[np.ndarray, np.ndarray]  # (N, 32, 32, 3) uint8 and (N,) labels


def read_release(source: Path) -> tuple[Images, Images]:
    """Read the training and the test images.

    Args:
        source: ``cifar-10-python.tar.gz`` or ``cifar-10-binary.tar.gz``, or a folder that one was unpacked to, or a
            folder above that.

    Raises:
        DataError: files are missing, or are not CIFAR-10's.
    """
    contents = dict(_contents(source))
    lacking = [name for name in BATCHES if name not in contents]
    if lacking:
        raise DataError(
            f"{source}: has no {', '.join(lacking)}; expected are cifar-10-python.tar.gz or cifar-10-binary.tar.gz, or "
            "the folder that it was unpacked to (cifar-10-batches-py, cifar-10-batches-bin)"
        )
    *train, test = (read_batch(contents[name], f"{source}, {name}") for name in BATCHES)
    pixels, labels = zip(*train)
    return (np.concatenate(pixels), np.concatenate(labels)), test


def _contents(source: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the name without ``.bin``, and the content, of each batch."""
    if source.is_dir():
        for path in sorted(source.rglob("*_batch*")):
            if path.is_file() and path.stem in BATCHES and path.stat().st_size <= LARGEST:
                yield path.stem, path.read_bytes()
        return
    try:
        with tarfile.open(source) as archive:
            for member in archive:
                stem = Path(member.name).stem
                file = archive.extractfile(member) if stem in BATCHES and member.size <= LARGEST else None
                if file is not None:
                    yield stem, file.read()
    except FileNotFoundError as error:
        raise DataError(f"{source}: there is no such file or folder") from error
    except (OSError, EOFError, tarfile.TarError) as error:
        raise DataError(f"{source}: cannot be read ({error}); download it again") from error


def read_batch(content: bytes, where: str) -> Images:
    """Read a batch of either version: pixels (N, 32, 32, 3) uint8 and labels (N,).

    Raises:
        DataError: the content is neither.
    """
    if len(content) % (PIXELS + 1) == 0 and content:
        rows = np.frombuffer(content, np.uint8).reshape(-1, PIXELS + 1)
        labels, flat = rows[:, 0].astype(np.int64), rows[:, 1:]
    else:
        flat, labels = _read_pickle(content, where)
    if len(labels) != len(flat) or not len(labels) or labels.max() >= len(CLASSES):
        raise DataError(f"{where}: holds {len(flat)} images and {len(labels)} labels that are not CIFAR-10's")
    return flat.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1), labels


def _read_pickle(content: bytes, where: str) -> Images:
    """Take pixels and labels out of a pickle's operations; none is run."""
    pixels: Optional[bytes] = None
    labels: list[int] = []
    in_labels = False
    try:
        for operation, argument, _ in pickletools.genops(content):
            if isinstance(argument, (str, bytes)):
                text = argument.encode("latin-1", "replace") if isinstance(argument, str) else argument
                if text != b"latin1":  # the encoding of a text before it
                    in_labels = text == b"labels"
                if len(text) >= PIXELS and len(text) % PIXELS == 0:
                    pixels = text
            elif in_labels and operation.name in INTEGERS:
                labels.append(int(argument))  # type: ignore[arg-type]
    except ValueError as error:
        raise DataError(f"{where}: is neither CIFAR-10's binary nor its Python version ({error})") from error
    if pixels is None:
        raise DataError(f"{where}: holds no images of {SIDE} x {SIDE}; is it CIFAR-10's?")
    return np.frombuffer(pixels, np.uint8).reshape(-1, PIXELS), np.array(labels, np.int64)


def write_1k(source: Path, folder: Path, seed: int = 0) -> dict[str, int]:
    """Write 80 + 20 training images and 100 test images of each class, drawn with a seed.

    Args:
        source: see :func:`read_release`.
        folder: folder to write; it appears only when it is complete.
        seed: seed of the draw.

    Returns:
        The number of images of each split.

    Raises:
        DataError: see :func:`read_release`; or a class has too few images.
    """
    train, test = read_release(source)
    rng = np.random.default_rng(seed)
    chosen: dict[str, list[int]] = {name: [] for name in COUNTS}
    for label in range(len(CLASSES)):
        for (_, labels), names in ((train, ("train800", "val200")), (test, ("test",))):
            there = np.flatnonzero(labels == label)
            needed = sum(COUNTS[name] for name in names)
            if len(there) < needed:
                raise DataError(f"{source}: class {CLASSES[label]} has {len(there)} images; {needed} are needed")
            drawn = rng.permutation(there)[:needed].tolist()
            for name in names:
                chosen[name] += drawn[: COUNTS[name]]
                drawn = drawn[COUNTS[name] :]
    with replacing(folder) as part:
        lists = {}
        for name, indices in chosen.items():
            pixels, labels = test if name == "test" else train
            images = part / "images" / name
            images.mkdir(parents=True)
            order = rng.permutation(indices).tolist()
            for number, index in enumerate(order):
                Image.fromarray(pixels[index]).save(images / f"{number:06d}.png")
            lists[name] = [f"images/{name}/{n:06d}.png {labels[index]}" for n, index in enumerate(order)]
        lists["train800val200"] = lists["train800"] + lists["val200"]
        for name, lines in lists.items():
            (part / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines))
        (part / "classes.txt").write_text("".join(f"{name}\n" for name in CLASSES))
    return {name: len(indices) for name, indices in chosen.items()}
