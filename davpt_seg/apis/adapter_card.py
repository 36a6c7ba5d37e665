"""``README.md`` of a task's adapter folder: a model card of what is known of the run, and nothing else."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Optional

from torch import nn

from ..core.adapter_folder.card import HEADER, method_lines, trunk_argument
from ..core.adapter_folder.config import AdapterConfig
from ..core.adapter_folder.places import FIGURE
from ..errors import some
from ..training.model import count_parameters

MOST_CLASSES = 200  # names in a card
HEADS = ("decode_head", "head", "rpn_head", "roi_head", "bbox_head")  # of a model
TAGS = {
    "segmentation": ", image-segmentation",
    "classification": ", image-classification",
    "detection": ", object-detection",
}


@dataclass(frozen=True)
class Scores:
    """Scores and the command that made them.

    Attributes:
        values: by name.
        command: arguments of a command line.
        on: what they are of: images, split.
    """

    values: Mapping[str, float]
    command: Sequence[str]
    on: str = ""


@dataclass(frozen=True)
class Run:
    """What is known of a training; what is None is not written.

    Attributes:
        experiment: name or words of its config.
        data: type and folder of its training data.
        trained: iterations or epochs.
        seed: random seed.
        scores: the checkpoint's scores.
        figure: whether there is one.
    """

    experiment: Optional[str] = None
    data: Optional[str] = None
    trained: Optional[str] = None
    seed: Optional[int] = None
    scores: Sequence[Scores] = field(default_factory=tuple)
    figure: bool = False


def task_card(config: AdapterConfig, model: nn.Module, run: Optional[Run] = None) -> str:
    """Return the card of a segmentor, classifier or detector.

    Args:
        config: the folder's config.
        model: on any device, the meta device, too.
        run: what is known of its training.
    """
    run = run or Run()
    counts = count_parameters(model)
    part = config.config["model"]
    found = [part[key] for key in HEADS if part.get(key)]
    heads = [head for each in found for head in (each if isinstance(each, list) else [each])]
    known = {
        "experiment": f"`{run.experiment}`" if run.experiment else None,
        "data": run.data,
        "trained": run.trained,
        "seed": run.seed,
        "head": ", ".join(f"`{each.get('type')}`" for each in heads),
        "neck": f"`{part['neck'].get('type')}`" if isinstance(part.get("neck"), dict) else None,
        "test mode": f"`{part['test_cfg']}`" if part.get("test_cfg") else None,
        "frozen ViT": str(config.trunk),
        "written by": ", ".join(f"{name} {version}" for name, version in config.versions.items()),
    }
    title = run.experiment or config.backbone["model_name"]
    lines = [
        f"# {title}: adapter for {config.task}",
        "",
        "Prompts and other tuned parameters, neck and head of a frozen ViT. The ViT's own weights are not in here.",
        "",
        *method_lines(config.backbone, counts.backbone_trained),
        *(f"- {name}: {value}" for name, value in known.items() if value is not None),
        *_classes(config.classes),
        *_scores(run.scores),
        *(["", f"![Prediction]({FIGURE})"] if run.figure else []),
        "",
        "## Use",
        "",
        *_use(config),
    ]
    return HEADER.format(tags=TAGS[config.task]) + "\n".join(lines) + "\n"


def _classes(classes: Optional[Sequence[str]]) -> list[str]:
    return [f"- {len(classes)} classes: {some(classes, MOST_CLASSES)}"] if classes else []


def _scores(scores: Sequence[Scores]) -> list[str]:
    lines = ["", "## Scores"] if scores else []
    for each in scores:
        lines += [
            "",
            "| score | value |",
            "|---|---|",
            *(f"| {name} | {value:g} |" for name, value in each.values.items()),
        ]
        lines += ["", *([each.on, ""] if each.on else []), "```bash", shlex.join(each.command), "```"]
    return lines


def _use(config: AdapterConfig) -> list[str]:
    trunk = trunk_argument(config.trunk)
    if config.task == "segmentation":
        call = [
            "from davpt_seg.apis import Predictor",
            "",
            f'labels = Predictor("DIR", trunk={trunk})("image.jpg")  # DIR: this folder',
        ]
    elif config.task == "detection":
        call = [
            "from davpt_seg.apis import Detector",
            "",
            f'found = Detector("DIR", trunk={trunk})("image.jpg")  # DIR: this folder',
            "found.boxes, found.scores, found.labels  # (n, 4) in pixels, (n,), (n,)",
        ]
    else:
        call = ["from davpt_seg.apis import load_adapter", "", f'model = load_adapter("DIR", trunk={trunk})']
    return ["```python", *call, "```"]
