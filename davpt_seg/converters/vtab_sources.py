"""Sources of VTAB's images: tensorflow-datasets or Hugging Face's ``datasets``, both optional."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Optional, Protocol

from ..errors import DataError
from .vtab_tasks import Features, Task


class Source(Protocol):
    """Data set with its title, the number of images of each split, and the images."""

    title: str
    splits: Mapping[str, int]

    def rows(self, split: str, start: int, stop: int) -> Iterator[Features]:
        """Yield the features of images ``start`` to ``stop`` in a fixed order; ``image`` is an encoded file."""

    def class_names(self, feature: str) -> tuple[str, ...]:
        """Return the names of a feature's classes, or an empty tuple."""


class TfdsSource:
    """Data set of tensorflow-datasets, downloaded and prepared if necessary.

    Args:
        task: task that uses it.
        data_dir: folder of tensorflow-datasets; None: its default.

    Raises:
        DataError: the library is missing, or the data set cannot be prepared, for instance because it requires a
            manual download.
    """

    def __init__(self, task: Task, data_dir: Optional[Path] = None) -> None:
        self.tfds = _import("tensorflow_datasets", "pip install tensorflow-datasets tensorflow-cpu importlib_resources")
        try:
            self.builder = self.tfds.builder(task.dataset, data_dir=data_dir and str(data_dir))
            self.builder.download_and_prepare()
        except (AssertionError, OSError, ValueError) as error:  # AssertionError: files that require a manual download
            raise DataError(f"tensorflow-datasets cannot prepare {task.dataset}: {error}") from error
        self.title = f"tensorflow-datasets {task.dataset} {self.builder.version}"
        if str(self.builder.version) != task.version:
            self.title += f" (VPT: {task.version})"
        self.splits = {name: split.num_examples for name, split in self.builder.info.splits.items()}

    def rows(self, split: str, start: int, stop: int) -> Iterator[Features]:
        """See :meth:`Source.rows`."""
        examples = self.builder.as_dataset(
            split=f"{split}[{start}:{stop}]",
            shuffle_files=False,
            decoders={"image": self.tfds.decode.SkipDecoding()},
            read_config=self.tfds.ReadConfig(interleave_cycle_length=1),  # one file after another
        )
        yield from self.tfds.as_numpy(examples)

    def class_names(self, feature: str) -> tuple[str, ...]:
        """See :meth:`Source.class_names`."""
        return tuple(self.builder.info.features[feature].names or ())


class HuggingFaceSource:
    """Data set of the ``datasets`` library: on the Hub, in a local folder, or saved with ``save_to_disk``.

    Args:
        repo: repository of the Hub with a configuration for each task, or a folder with a folder for each task.
            ``{set}`` in it is replaced by the task's name, if each task has a separate repository.
        name: name of the task.

    Raises:
        DataError: the library is missing, the data set does not exist, or it has no splits or images.
    """

    def __init__(self, repo: str, name: str) -> None:
        self.datasets = _import("datasets", "pip install datasets")
        self.title = f"Hugging Face {repo} {name}"
        try:
            content = self._load(repo, name)
        except (OSError, ValueError) as error:
            raise DataError(f"datasets cannot load {name} of {repo}: {error}") from error
        if not isinstance(content, self.datasets.DatasetDict):
            raise DataError(
                f"{self.title}: has no splits; save a DatasetDict with the splits train800, val200 and test"
            )
        self.tables = {split: self._with_encoded_images(table) for split, table in content.items()}
        self.splits = {split: len(table) for split, table in self.tables.items()}

    def _load(self, repo: str, name: str) -> Any:
        folder = Path(repo.replace("{set}", name))
        if "{set}" not in repo and folder.is_dir():
            folder /= name
        if (folder / "dataset_dict.json").is_file():
            return self.datasets.load_from_disk(str(folder))
        if folder.is_dir():
            return self.datasets.load_dataset(str(folder))
        if "{set}" in repo:
            return self.datasets.load_dataset(repo.replace("{set}", name))
        return self.datasets.load_dataset(repo, name)

    def _with_encoded_images(self, table: Any) -> Any:
        columns = [name for name, kind in table.features.items() if isinstance(kind, self.datasets.Image)]
        if not columns:
            raise DataError(f"{self.title}: has no column of images, only {', '.join(table.features)}")
        column = "image" if "image" in columns else columns[0]
        table = table.cast_column(column, self.datasets.Image(decode=False))
        return table if column == "image" else table.rename_column(column, "image")

    def rows(self, split: str, start: int, stop: int) -> Iterator[Features]:
        """See :meth:`Source.rows`."""
        for row in self.tables[split].select(range(start, stop)):
            file = row["image"]
            yield {**row, "image": file["bytes"] or Path(file["path"]).read_bytes()}

    def class_names(self, feature: str) -> tuple[str, ...]:
        """See :meth:`Source.class_names`."""
        kind = next(iter(self.tables.values())).features.get(feature)
        return tuple(getattr(kind, "names", None) or ())


def _import(module: str, command: str) -> ModuleType:
    try:
        return import_module(module)
    except ImportError as error:
        raise DataError(f"cannot import {module} ({error}). To install it: {command}") from error
