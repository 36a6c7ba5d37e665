"""Small fakes of tensorflow_datasets and datasets: the functions that the converter calls."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
from PIL import Image

SPLITS = {"train": 50, "validation": 5, "test": 12}
CODES = {split: number for number, split in enumerate(SPLITS)}


def picture(split: str, index: int, form: str = "PNG", high: int = 255) -> bytes:
    """Return an image whose first pixels encode its split and index."""
    pixels = np.full((4, 4), min(high, 7), np.uint8)
    if high > 1:
        pixels[0, :2] = CODES[split], index
    else:
        pixels[0, 0] = index % 2
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format=form)
    return file.getvalue()


def identity(file: Any) -> tuple[int, int]:
    """Return the split's code and the index that ``picture`` put into a file."""
    with Image.open(file) as image:
        return tuple(np.asarray(image.convert("L"))[0, :2].tolist())


def features(split: str, index: int, binary: bool) -> dict[str, Any]:
    """Return an example with the features of all data sets, with tensorflow-datasets' names and nesting."""
    count = 3 + index % 8
    return {
        "image": picture(split, index, high=1 if binary else 255),
        "label": np.int64(index % 2),
        "label_x_position": np.int64(index % 32),
        "label_orientation": np.int64(index % 40),
        "label_azimuth": np.int64(index % 18),
        "label_elevation": np.int64(index % 9),
        "objects": {
            "size": np.zeros(count, np.int64),
            "pixel_coords": np.full((count, 3), 7.75 + index % 4, np.float32),
            "type": np.full(count, index % 4, np.int64),
            "location": np.full((count, 3), 5.0 + index, np.float32),
        },
    }


class FakeBuilder:
    """Fake data set of tensorflow-datasets."""

    version = "9.9.9"

    def __init__(self, name: str) -> None:
        self.name, self.prepared = name, False
        splits = {split: SimpleNamespace(num_examples=count) for split, count in SPLITS.items()}
        names = {"label": ["first", "second"]}
        kinds = {key: SimpleNamespace(names=names.get(key)) for key in features("train", 0, False)}
        self.info = SimpleNamespace(splits=splits, features=kinds)

    def download_and_prepare(self) -> None:
        self.prepared = True

    def as_dataset(self, split: str, shuffle_files: bool, decoders: dict, read_config: Any) -> list[dict]:
        assert self.prepared
        assert not shuffle_files
        assert list(decoders) == ["image"]
        found = re.fullmatch(r"(\w+)\[(\d+):(\d+)\]", split)
        assert found is not None
        name, start, stop = found[1], int(found[2]), int(found[3])
        assert 0 <= start <= stop <= SPLITS[name]
        return [features(name, index, self.name == "dsprites") for index in range(start, stop)]


def fake_tfds(opened: list[str]) -> ModuleType:
    """Return a module ``tensorflow_datasets``; ``opened`` collects the requested data sets."""

    def builder(name: str, data_dir: Any = None) -> FakeBuilder:
        opened.append(name)
        if name == "resisc45":  # requires a manual download
            raise AssertionError("Manual directory does not exist or is empty.")
        return FakeBuilder(name)

    module: Any = ModuleType("tensorflow_datasets")
    module.builder, module.as_numpy = builder, iter
    module.decode = SimpleNamespace(SkipDecoding=object)
    module.ReadConfig = lambda interleave_cycle_length: None
    return module


class FakeTable:
    """Fake split of a Hugging Face data set: rows and the kinds of their columns."""

    def __init__(self, rows: list[dict], features: dict[str, Any]) -> None:
        self.rows, self.features = rows, features

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[dict]:
        return iter(self.rows)

    def select(self, indices: range) -> FakeTable:
        return FakeTable([self.rows[i] for i in indices], self.features)

    def cast_column(self, column: str, kind: Any) -> FakeTable:
        assert kind.decode is False
        return FakeTable(self.rows, {**self.features, column: kind})

    def rename_column(self, old: str, new: str) -> FakeTable:
        rows = [{new if key == old else key: value for key, value in row.items()} for row in self.rows]
        return FakeTable(rows, {new if key == old else key: kind for key, kind in self.features.items()})


class FakeImage:
    """Fake kind of a column of images."""

    def __init__(self, decode: bool = True) -> None:
        self.decode = decode


def fake_datasets(splits: dict[str, tuple[str, int]], asked: list[tuple]) -> ModuleType:
    """Return a module ``datasets``: a repository whose splits have given numbers of our images, from the first."""

    class DatasetDict(dict):
        pass

    def load_dataset(*where: str) -> DatasetDict:
        asked.append(where)
        if "nowhere" in where[0]:
            raise FileNotFoundError("Dataset 'nowhere' doesn't exist on the Hub")
        label = SimpleNamespace(names=["first", "second"])
        return DatasetDict(
            {
                name: FakeTable(
                    [
                        {"img": {"bytes": picture(origin, i), "path": None}, "label": i % 2, "index": i}
                        for i in range(count)
                    ],
                    {"img": FakeImage(), "label": label, "index": object()},
                )
                for name, (origin, count) in splits.items()
            }
        )

    module: Any = ModuleType("datasets")
    module.DatasetDict, module.Image, module.load_dataset = DatasetDict, FakeImage, load_dataset
    return module
