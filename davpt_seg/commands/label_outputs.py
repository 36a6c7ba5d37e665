"""Files that ``davpt-seg predict`` writes for segmentors: a figure and a label map of each image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Union

from ..errors import InputError
from .images import OUTPUTS, output

if TYPE_CHECKING:
    import numpy as np

    from ..apis.predictor import Predictor
    from ..apis.task_predictor import TaskPredictor


class Written(NamedTuple):
    """A figure that was written, and a line about what is in it."""

    picture: Path
    about: str


class Outputs(Protocol):
    """What predicts an image, and writes its files.

    Attributes:
        endings: endings of the files of an image.
        shared: files in the output folder that are about all images.
    """

    endings: tuple[str, ...]
    shared: tuple[str, ...]

    def write(self, image: Path, stem: Path) -> Iterator[Written]:
        """Predict an image and write its files, whose names begin with a stem; yield each figure.

        Raises:
            InputError: the image cannot be read or predicted.
        """

    def close(self, folder: Path) -> str:
        """Write the shared files, and return a text about all files."""


class LabelOutputs:
    """Figures and label maps of one segmentor, or of several that label an image in one pass.

    Args:
        labeller: one or several.
        opacity: opacity of the paint, 0 to 1.
    """

    shared: tuple[str, ...] = ()

    def __init__(self, labeller: Union[Predictor, TaskPredictor], opacity: float) -> None:
        from ..apis.predictor import Predictor

        self._alone = labeller if isinstance(labeller, Predictor) else None
        self._labeller, self._opacity = labeller, opacity
        names = ("",) if self._alone else labeller.tasks  # type: ignore[union-attr]
        self.endings = tuple(self._ending(name, ending) for name in names for ending in OUTPUTS)

    def write(self, image: Path, stem: Path) -> Iterator[Written]:
        """Write figure and label map of each task; see :class:`Outputs`."""
        labeller: Any = self._labeller
        found = labeller(image)
        for name, labels in ({"": found} if self._alone else found).items():
            predictor = self._alone or self._labeller[name]  # type: ignore[index]
            about = _summary(labels, predictor.classes)
            yield Written(self._write(predictor, image, stem, labels, name), f"{name}{': ' * bool(name)}{about}")

    def close(self, folder: Path) -> str:
        """Return which files were written."""
        name = "NAME" if self._alone else "NAME_ADAPTER"
        return f"{name}_picture.png and {name}_labels.png in {folder}"

    @staticmethod
    def _ending(name: str, ending: str) -> str:
        return f"_{name}{ending}" if name else ending

    def _write(self, predictor: Predictor, image: Path, stem: Path, labels: np.ndarray, task: str) -> Path:
        """Write figure and label map of one image; return the figure's path."""
        from ..visualization.predictions import label_map, prediction_picture

        pixels = predictor.read(image)[..., ::-1]
        title = f"{image.name}, {task}" if task else image.name
        figure = prediction_picture(pixels, labels, predictor.classes, predictor.palette, title, self._opacity)
        picture, label_file = (output(stem, self._ending(task, ending)) for ending in OUTPUTS)
        figure.savefig(picture)
        label_map(labels, predictor.palette).save(label_file)
        return picture


def names_of(adapters: Sequence[str]) -> dict[str, str]:
    """Return adapters by name, the last part of their path.

    Raises:
        InputError: two of one name.
    """
    names: dict[str, str] = {}
    for adapter in adapters:
        name = Path(adapter.partition("@")[0] if adapter.startswith("hub:") else adapter).resolve().name
        if name in names:
            raise InputError(f"--adapter {names[name]} and {adapter} would both be called {name!r}; rename a folder")
        names[name] = adapter
    return names


def _summary(labels: np.ndarray, classes: Sequence[str], most: int = 5) -> str:
    from ..visualization.class_names import shown
    from ..visualization.predictions import class_shares, percent

    found = class_shares(labels, len(classes))
    names = [f"{shown(classes[i])} {percent(share)}" for i, share in found[:most]]
    return ", ".join(names + [f"{len(found) - most} more"] * (len(found) > most))
