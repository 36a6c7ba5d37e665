"""Files that ``davpt-seg predict`` writes for detectors: a figure of each image, and COCO's results of all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..runs.json_files import write_json
from .images import output
from .label_outputs import Written

if TYPE_CHECKING:
    from ..apis.detector import Detector
    from ..visualization.detections import Detections
    from .coco_ids import Ids

PICTURE, RESULTS = "_picture.png", "boxes.json"


class BoxOutputs:
    """Figures of detected objects, and one file of COCO's results.

    Args:
        detector: what finds objects.
        threshold: lowest score that is drawn; the file has all objects.
        opacity: opacity of masks, 0 to 1.
        ids: ids of images and categories.
    """

    endings: tuple[str, ...] = (PICTURE,)
    shared: tuple[str, ...] = (RESULTS,)

    def __init__(self, detector: Detector, threshold: float, opacity: float, ids: Ids) -> None:
        self._detector, self._threshold, self._opacity, self._ids = detector, threshold, opacity, ids
        self._rows: list[dict[str, Any]] = []
        self._below = 0

    def write(self, image: Path, stem: Path) -> Iterator[Written]:
        """Write an image's figure; see :class:`~davpt_seg.commands.label_outputs.Outputs`."""
        from ..visualization.boxes import boxes_picture

        detector, image_id = self._detector, self._ids.image(image)
        pixels = detector.read(image)
        found = detector.detect(pixels)
        for label, row in zip(found.labels, found.coco(image_id, self._ids.categories)):
            self._rows.append(dict(file_name=image.name, category=detector.classes[label], **row))
        drawn = found.above(self._threshold)
        below = len(found) - len(drawn)
        self._below += below
        title = f"{image.name}: objects of score {self._threshold:g} or more: {len(drawn)}"
        figure = boxes_picture(pixels[..., ::-1], drawn, detector.classes, detector.palette, title, self._opacity)
        picture = output(stem, PICTURE)
        figure.savefig(picture)
        yield Written(picture, _summary(drawn, detector.classes, below))

    def close(self, folder: Path) -> str:
        """Write COCO's results of all images."""
        file = folder / RESULTS
        write_json(file, self._rows)
        return (
            f"NAME_picture.png in {folder}; {file} has all {len(self._rows)} objects, {self._below} of them below "
            f"--score-threshold {self._threshold:g} and not drawn"
        )


def _summary(drawn: Detections, classes: Sequence[str], below: int, most: int = 5) -> str:
    """Return how many objects of each class are drawn, and how many are not."""
    from ..visualization.class_names import shown

    counts = Counter(drawn.labels.tolist()).most_common()
    names = [f"{count} {shown(classes[i])}" for i, count in counts[:most]]
    names += [f"{len(counts) - most} more classes"] * (len(counts) > most)
    return f"{', '.join(names) or 'nothing'}; {below} below the threshold"
