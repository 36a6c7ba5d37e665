"""Hooks that write the predictions of a test: label maps for machines, painted images for people."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

import numpy as np
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from PIL import Image

from ..visualization.output_names import output_names
from .painted_samples import ImageReader, pixels_of


class _OutputHook(Hook):
    """Write a file for each image of a test set, with distinct names for images of one name in different folders.

    Every process writes the files of its images, so the order and number of processes do not matter.

    Args:
        folder: output folder; existing files are replaced.
    """

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.names: dict[str, str] = {}

    def before_test(self, runner: Runner) -> None:
        """Choose the names of all outputs, which depend on all images."""
        dataset = runner.test_dataloader.dataset
        self.names = output_names(dataset.get_data_info(i)["img_path"] for i in range(len(dataset)))
        there = sum(self.file(path).exists() for path in self.names)
        if there:
            print_log(f"{self.folder}: {there} files of an earlier run are replaced", "current")

    def file(self, image: str) -> Path:
        """Return the output file of an image."""
        return self.folder / f"{self.names[image]}.png"

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Optional[Sequence[Any]] = None
    ) -> None:
        """Write the files of a batch."""
        dataset = runner.test_dataloader.dataset
        for sample in outputs or ():
            file = self.file(sample.img_path)
            file.parent.mkdir(parents=True, exist_ok=True)
            self.draw(sample, dataset).save(file)

    def draw(self, sample: Any, dataset: Any) -> Image.Image:
        """Return the output image of a predicted sample."""
        raise NotImplementedError


@HOOKS.register_module()
class LabelMapHook(_OutputHook):
    """Write the predicted class of every pixel as a PNG file.

    The first class is 0; with ``reduce_zero_label`` it is 1, as in the masks. Files have 16 bits if 8 bits do not hold
    the last class.
    """

    def draw(self, sample: Any, dataset: Any) -> Image.Image:
        """Return the label map of a predicted sample."""
        shift = int(dataset.metainfo.get("reduce_zero_label", False))
        most = len(dataset.metainfo["classes"]) - 1 + shift
        labels = sample.pred_sem_seg.data.squeeze(0).cpu().numpy() + shift
        return Image.fromarray(labels.astype(np.uint8 if most <= 255 else np.uint16))


@HOOKS.register_module()
class PaintedImageHook(_OutputHook):
    """Write a figure of each image: the image, its true classes if known, and its predicted ones, with a legend.

    Args:
        folder: output folder.
        loading: steps of the pipeline that read an image.
        opacity: opacity of the paint, 0 to 1.
    """

    def __init__(self, folder: str, loading: Sequence[Any] = (), opacity: float = 0.6) -> None:
        super().__init__(folder)
        self.read = ImageReader(loading)
        self.opacity = opacity

    def draw(self, sample: Any, dataset: Any) -> Image.Image:
        """Return the figure of a predicted sample."""
        from ..visualization.predictions import predictions_picture

        classes, palette = dataset.metainfo["classes"], np.asarray(dataset.metainfo["palette"])
        row = self.read.painted(sample)
        figure = predictions_picture([row], classes, palette, Path(sample.img_path).name, self.opacity)
        return Image.fromarray(pixels_of(figure))
