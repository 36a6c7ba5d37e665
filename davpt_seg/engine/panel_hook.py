"""Hook that draws a panel of predictions at each validation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Optional

import numpy as np
from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from ..visualization.class_colours import colours_of
from ..visualization.detections import THRESHOLD, Detected
from .painted_samples import ImageReader, pixels_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@HOOKS.register_module()
class PanelHook(Hook):
    """Draw a few validation images, the same ones each time, with their true and predicted classes or objects.

    The image ``panel`` goes to all backends of the visualizer; the local one writes it to
    ``vis_data/vis_image/panel_ITERATION.png``. It shows what the validation predicted: nothing is predicted again, and
    no random number is drawn.

    Args:
        images: number of images, spread over the validation data of the first process.
        loading: steps of the pipeline that read an image.
        score_threshold: lowest score of detected objects that are drawn.
        true_objects: whether to draw the true objects of a detector's images; not where the pipeline resizes them.
    """

    def __init__(
        self,
        images: int = 4,
        loading: Sequence[Any] = (),
        score_threshold: float = THRESHOLD,
        true_objects: bool = True,
    ) -> None:
        self.images = images
        self.score_threshold = score_threshold
        self.true_objects = true_objects
        self.read = ImageReader(loading)
        self._seen = 0
        self._samples: list[Any] = []

    def before_val_epoch(self, runner: Runner) -> None:
        """Choose the images."""
        own = len(range(get_rank(), len(runner.val_dataloader.dataset), get_world_size()))
        self._wanted = {own * i // self.images for i in range(self.images)} if get_rank() == 0 else set()
        self._seen, self._samples = 0, []

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Optional[Sequence[Any]] = None
    ) -> None:
        """Keep the predictions of the chosen images."""
        for place, sample in enumerate(outputs or (), start=self._seen):
            if place in self._wanted:
                self._samples.append(self._kept(sample))
        self._seen += len(outputs or ())

    def _kept(self, sample: Any) -> Any:
        """Return what is drawn of a sample, in the CPU's memory."""
        if "pred_instances" in sample and "img_path" in sample:  # masks of all objects would be large
            drawn = Detected.of(self.read(sample.img_path), sample, self.score_threshold)
            return drawn if self.true_objects else drawn._replace(truth=None)
        kept = sample.clone()
        for logits in ("seg_logits", "_seg_logits"):  # image-sized maps of each class on the GPU
            kept.pop(logits, None)
        return kept.cpu()

    def after_val_epoch(self, runner: Runner, metrics: Optional[dict[str, float]] = None) -> None:
        """Draw the panel."""
        samples, self._samples = self._samples, []
        if samples and (figure := self._draw(samples, runner.val_dataloader.dataset.metainfo, runner.iter)):
            runner.visualizer.add_image("panel", pixels_of(figure), step=runner.iter)

    def _draw(self, samples: Sequence[Any], metainfo: dict[str, Any], iteration: int) -> Optional[Figure]:
        """Return the panel; None for samples of another task."""
        classes, title = metainfo.get("classes") or (), f"validation at iteration {iteration:,}"
        if all(isinstance(sample, Detected) for sample in samples):
            if not classes:
                return None
            from ..visualization.objects_panel import objects_panel

            labels = [label for each in samples for part in (each.found, each.truth) if part for label in part.labels]
            classes = [*classes, *(f"class {i}" for i in range(len(classes), int(max(labels, default=0)) + 1))]
            title += f", objects of score {self.score_threshold:g} or more"
            return objects_panel(samples, classes, colours_of(metainfo.get("palette"), len(classes)), title)
        if not all("img_path" in sample for sample in samples):  # nothing to read again
            return None
        if all("pred_sem_seg" in sample for sample in samples) and metainfo.get("palette"):
            from ..visualization.predictions import predictions_picture

            rows = [self.read.painted(sample) for sample in samples]
            return predictions_picture(rows, classes, np.asarray(metainfo["palette"]), title)
        if all("pred_label" in sample for sample in samples) and classes:
            from ..visualization.class_panel import Classified, class_panel

            return class_panel([Classified.of(self.read(each.img_path), each) for each in samples], classes, title)
        return None
